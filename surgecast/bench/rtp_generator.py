"""The generator of the live part of `bench rtp`: RTP over UDP, as fast as the kernel lets it or as is asked for.

Each system call hands over 60 packets of as many streams, which the kernel cuts apart in software (UDP
segmentation offload). A program in C, compiled in the run: it must not be what limits the others.
"""

import shutil
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
enum { SOCKETS = 64, PACKETS = 60, BYTES = 172 };
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
int main(int count, char **words) {
    if (count != 6) return 2;
    double rate = atof(words[1]), seconds = atof(words[2]);
    int streams = atoi(words[3]) / PACKETS * PACKETS, port = atoi(words[4]);
    int sockets[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port + 2 * i)};
        to.sin_addr.s_addr = inet_addr("10.9.0.2");
        int size = BYTES, buffer = 16 << 20;
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port - 10000 + 2 * i)};
        sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
        setsockopt(sockets[i], SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
        if (bind(sockets[i], (void *)&from, sizeof from) || connect(sockets[i], (void *)&to, sizeof to) ||
            setsockopt(sockets[i], IPPROTO_UDP, 103 /* UDP_SEGMENT */, &size, sizeof size)) {
            perror("generator");
            return 1;
        }
    }
    uint8_t *packets = calloc(streams, BYTES);
    for (int i = 0; i < streams; i++) {
        uint32_t ssrc = htonl(i * 2654435761u);
        packets[(size_t)i * BYTES] = 0x80;
        memcpy(packets + (size_t)i * BYTES + 8, &ssrc, 4);
    }
    double start = now(), elapsed = 0;
    uint64_t sent = 0;
    uint16_t seq = atoi(words[5]);
    uint32_t stamp = seq * 160;
    int stream = 0;
    while ((elapsed = now() - start) < seconds) {
        if (sent > rate * elapsed) continue;
        uint8_t *first = packets + (size_t)stream * BYTES;
        for (int i = 0; i < PACKETS; i++) {
            uint16_t seq_be = htons(seq);
            uint32_t stamp_be = htonl(stamp);
            memcpy(first + i * BYTES + 2, &seq_be, 2);
            memcpy(first + i * BYTES + 4, &stamp_be, 4);
        }
        while (send(sockets[stream / PACKETS % SOCKETS], first, PACKETS * BYTES, 0) < 0)
            if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) {
                perror("generator");
                return 1;
            }
        sent += PACKETS;
        stream += PACKETS;
        if (stream >= streams) stream = 0, seq++, stamp += 160;
    }
    printf("%lu %.6f\n", sent, elapsed);
    return 0;
}
"""


def compile_generator(folder: Path) -> Path | None:
    """Compile it with gcc into a folder; None where there is no gcc."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    (folder / "generator.c").write_text(SOURCE)
    program = folder / "generator"
    subprocess.run([gcc, "-O2", "-o", program, folder / "generator.c"], check=True)
    return program
