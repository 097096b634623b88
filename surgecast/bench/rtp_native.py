"""The stream kernel once more in C, for `bench rtp`: the same rows, the same batches, the same arithmetic.

It shares the table that our kernel filled, and takes packets of streams that have a row; admission, comfort
noise, events and restarts, which the traffic of the benchmark does not have, are left out. Compiled in the run.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

SOURCE = r"""
#include <math.h>
#include <stdint.h>
#include <string.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;
typedef int64_t i64;
typedef int32_t i32;
typedef struct {
    u64 offset;
    i64 ns;
    u32 captured, wire, link, number;
} frame;
typedef struct {
    u64 a, b, hash;
    i64 ns;
    u32 ts;
    u16 seq, bytes;
    u16 type;
    u8 marker, v6;
    u32 pad;
    u64 ip, row;
} packet;
typedef struct {
    u64 a, b, window;
    i64 arrival;
    u32 highest, ts;
    float tick, jitter, excess, depth;
    u32 unique;
    u16 type;
    u8 flags, state;
    u64 bytes;
    double sum;
    u32 count;
    float max;
    u32 wide, narrow, markers, base, dup, reord, lost, l50, l200, la;
    u32 last, run, c11, c13, c14, c22, c23, c33, burst;
    u16 runs[8];
    float held;
    u8 rest[72];
} row;
_Static_assert(sizeof(row) == 256, "row");
_Static_assert(sizeof(packet) == 64, "packet");
#define likely(x) __builtin_expect(!!(x), 1)
static inline u16 g16(const u8 *p) {
    u16 v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
static inline u32 g32(const u8 *p) {
    u32 v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline u64 g64(const u8 *p) {
    u64 v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
static inline u64 fold(u64 x, u64 y) {
    unsigned __int128 p = (unsigned __int128)x * y;
    return (u64)(p >> 64) ^ (u64)p;
}
#define C 0x8EBC6AF09C88C6E3ULL
#define D 0x589965CC75374CC3ULL
static inline int parse(const u8 *f, u32 cap, u32 link, i64 ns, u64 seed, packet *o) {
    const u8 *end = f + cap, *at = f + 12;
    if (link != 1 || cap < 14)
        return 1;
    u16 k = g16(at);
    while (k == 0x8100 || k == 0x88a8 || k == 0x9100) {
        at += 4;
        if (at + 2 > end)
            return 1;
        k = g16(at);
    }
    if (k != 0x800 && k != 0x86dd)
        return 5;
    at += 2;
    if (at + 40 > end)
        return 1;
    const u8 *udp;
    u64 a;
    u8 dscp;
    if (likely(at[0] >> 4 == 4)) {
        udp = at + (at[0] & 15) * 4;
        if (at[9] != 17 || (g16(at + 6) & 0x3fff) || udp < at + 20)
            return 1;
        o->ip = (u64)(at + 12);
        a = g64(at + 12);
        dscp = at[1] >> 2;
        o->v6 = 0;
    } else if (at[0] >> 4 == 6) {
        udp = at + 40;
        if (at[6] != 17)
            return 1;
        o->ip = (u64)(at + 8);
        a = fold(fold(g64(at + 8) ^ seed, g64(at + 16) ^ C), fold(g64(at + 24) ^ D, g64(at + 32) ^ seed));
        dscp = (g16(at) >> 6) & 63;
        o->v6 = 1;
    } else
        return 1;
    if (udp + 20 > end)
        return 1;
    u16 len = g16(udp + 4);
    if (len < 20)
        return 1;
    u32 w = g32(udp + 8);
    if (w >> 30 != 2)
        return 1;
    u32 t = w >> 16 & 255;
    if (t >= 192 && t <= 223)
        return 1;
    o->a = a;
    o->b = (u64)g32(udp) << 32 | g32(udp + 16);
    o->hash = fold(fold(a ^ seed, o->b ^ C) ^ D, seed | 1);
    o->ns = ns;
    o->ts = g32(udp + 12);
    o->seq = w;
    o->bytes = len - 8;
    o->type = (t & 127) | dscp << 8;
    o->marker = t >> 7;
    return 0;
}
static int bin(u32 n) {
    static const u32 l[7] = {1, 2, 3, 4, 9, 19, 49};
    int i = 0;
    while (i < 7 && n > l[i])
        i++;
    return i;
}
static __attribute__((noinline)) void lose(row *r, u32 s) {
    if (s <= r->base)
        return;
    u32 since = s - r->last - 1;
    r->lost++;
    if (since >= 16) {
        if (r->burst == 1)
            r->c14++;
        else
            r->c13++;
        r->burst = 1;
        r->c11 += since;
    } else {
        r->burst++;
        if (!since)
            r->c33++;
        else {
            r->c23++;
            r->c22 += since - 1;
        }
    }
    if (!since) {
        r->runs[bin(r->run)]--;
        r->run++;
    } else
        r->run = 1;
    r->runs[bin(r->run)]++;
    r->last = s;
}
static __attribute__((noinline)) void pass(row *r, u32 h, u64 win, u32 ahead) {
    u32 n = ahead < 64 ? ahead : 64;
    u64 miss = ~win >> (64 - n);
    for (int b = n - 1; b >= 0; b--)
        if (miss >> b & 1)
            lose(r, h - 64 + n - b);
    for (u32 s = h + 1; s + 64 <= h + ahead; s++)
        lose(r, s);
}
static inline void vary(row *r, double late) {
    double j = r->jitter;
    j += (fabs(late) - j) * 0.0625;
    r->jitter = j;
    r->sum += j;
    r->count++;
    if (j > r->max)
        r->max = j;
    double x = r->excess + late;
    if (x < 0)
        x = 0;
    else
        x -= x * 0.0009765625;
    r->excess = x;
    if (!likely(x <= 50000)) {
        r->l50++;
        if (x > 200000)
            r->l200++;
    }
    double d = r->depth;
    if (!likely(x <= d)) {
        r->la++;
        d = x < 500000 ? x : 500000;
    } else {
        double w = 2 * j;
        if (w < 20000)
            w = 20000;
        d += (w - d) * 0.001953125;
    }
    r->depth = d;
}
static inline void update(row *r, const packet *o) {
    r->bytes += o->bytes;
    u32 h = r->highest, ahead = (u16)(o->seq - h);
    if (likely(ahead - 1 < 2999)) {
        u64 w = r->window;
        if (likely(ahead == 1)) {
            if (!likely(w >> 63))
                lose(r, h - 63);
            w = w << 1 | 1;
        } else {
            pass(r, h, w, ahead);
            w = ahead < 64 ? w << ahead | 1 : 1;
        }
        r->window = w;
        r->highest = h + ahead;
    } else {
        u32 behind = (65536 - ahead) & 65535;
        if (behind >= 64)
            return;
        u64 bit = 1ULL << behind;
        if (r->window & bit) {
            r->dup++;
            return;
        }
        r->window |= bit;
        r->reord++;
    }
    r->unique++;
    if (!likely(r->type == o->type))
        return;
    r->markers += o->marker;
    i64 el = o->ns - r->arrival;
    i32 ticks = o->ts - r->ts;
    r->arrival = o->ns;
    r->ts = o->ts;
    if (el >= 0) {
        u64 us = (u64)el / 1000;
        if (us > r->wide)
            r->wide = us;
        if (us < r->narrow)
            r->narrow = us;
    }
    double late = el * 0.001 - (double)ticks * r->tick;
    if (likely(!(late > 200000 || r->excess + late < -200000)))
        vary(r, late);
}
u64 take(const u8 *base, const frame *list, u64 count, const u64 *slots, u64 mask, row *rows, u64 seed) {
    packet b[64];
    u64 i = 0, unknown = 0;
    while (i < count) {
        u32 n = 0;
        for (; i < count && n < 64; i++) {
            const frame *f = list + i;
            if (i + 8 < count) {
                const u8 *p = base + f[8].offset;
                __builtin_prefetch(p);
                __builtin_prefetch(p + 64);
            }
            if (!parse(base + f->offset, f->captured, f->link, f->ns, seed, b + n)) {
                __builtin_prefetch(slots + (b[n].hash & mask));
                n++;
            }
        }
        for (u32 q = 0; q < n; q++) {
            u64 k = b[q].hash & mask, s = slots[k];
            while (s && (s ^ b[q].hash) >> 32) {
                k = (k + 1) & mask;
                s = slots[k];
            }
            row *r = s ? rows + ((u32)s - 1) : 0;
            if (r) {
                __builtin_prefetch(r, 1);
                __builtin_prefetch((u8 *)r + 64, 1);
            }
            b[q].row = (u64)r;
        }
        for (u32 q = 0; q < n; q++) {
            row *r = (row *)b[q].row;
            if (likely(r && r->a == b[q].a && r->b == b[q].b))
                update(r, b + q);
            else
                unknown++;
        }
    }
    return unknown;
}
"""


def compile_native(folder: Path) -> ctypes.CDLL | None:
    """Compile the kernel with gcc; None where there is no gcc."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    (folder / "kernel.c").write_text(SOURCE)
    library = folder / "kernel.so"
    subprocess.run(
        [gcc, "-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", "-o", library, folder / "kernel.c"],
        check=True,
    )
    native = ctypes.CDLL(str(library))
    native.take.restype = ctypes.c_uint64
    native.take.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_uint64] * 5]
    return native
