"""The filter of a ring: which frames the kernel hands over, and how much of each, as a classic BPF program.

Assembled here from plain values, so that no libpcap is needed. Media costs its headers alone; SIP, RTCP and
fragments come whole. The program sees a frame before its ring does, so what it refuses costs next to nothing.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

Network = IPv4Network | IPv6Network
PortRange = tuple[int, int]

WHOLE = 0x40000
"""Bytes to keep of what must come whole: more than any frame has."""
MAX_INSTRUCTIONS = 4096
"""BPF_MAXINSNS of the kernel."""
VLAN_NONE = 0
"""As a VLAN id: frames that have no tag, or one for its priority alone."""

# instruction codes of <linux/filter.h>
LD_HALF, LD_BYTE = 0x28, 0x30
IND_WORD, IND_HALF, IND_BYTE = 0x40, 0x48, 0x50
LD_MEM, LDX_IMM, ST = 0x60, 0x01, 0x02
ADD, AND, LSH, RSH, ADD_X = 0x04, 0x54, 0x64, 0x74, 0x0C
JUMP, JEQ, JGT, JGE, JSET = 0x05, 0x15, 0x25, 0x35, 0x45
RET, TAX, TXA = 0x06, 0x07, 0x87

AD_VLAN_TAG = 0xFFFFF000 + 44
AD_VLAN_TAG_PRESENT = 0xFFFFF000 + 48
"""Where the kernel shows the tag that it took out of the frame (SKF_AD_OFF + …)."""

_ETHER_TYPE_AT = 12
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
_IPV4, _IPV6 = 0x0800, 0x86DD
_UDP, _TCP = 17, 6
_IPV6_FRAGMENT = 44
_IPV6_EXTENSIONS = (0, 43, 60)
_STUN_COOKIE, _ZRTP_COOKIE = 0x2112A442, 0x5A525450


@dataclass(frozen=True, slots=True)
class FrameFilter:
    """What to capture; an empty selection selects everything."""

    ports: tuple[PortRange, ...] = ()
    """UDP ports of media, first and last of each range; either end of a packet counts."""
    sip_ports: tuple[PortRange, ...] = ((5060, 5060),)
    """UDP and TCP ports of SIP; here empty selects nothing."""
    hosts: tuple[Network, ...] = ()
    vlans: tuple[int, ...] = ()
    """Ids of the outermost tag; `VLAN_NONE` is no tag."""
    snap_bytes: int = 128
    """Of media."""


class FilterTooLong(Exception):
    """The selections need more instructions than the kernel takes."""


class Instruction(NamedTuple):
    """One instruction of the kernel's `struct sock_filter`."""

    code: int
    if_true: int
    if_false: int
    operand: int


class _End(Enum):
    """Where a program can leave to."""

    REJECT = 0
    HEADERS = 1
    WHOLE = 2


class _Label:
    """A place further down."""


_Target = _Label | _End


class _Program:
    """Instructions with places to jump to; all jumps go forward, and any distance."""

    def __init__(self) -> None:
        self._items: list[tuple[int, int, _Target | None]] = []
        self._places: dict[_Target, int] = {}

    def do(self, code: int, operand: int = 0) -> None:
        self._items.append((code, operand, None))

    def place(self, target: _Target) -> None:
        self._places[target] = len(self._items)

    def go(self, target: _Target) -> None:
        self._items.append((JUMP, 0, target))

    def when(self, test: int, operand: int, target: _Target) -> None:
        """Go on at `target` where the test of A holds."""
        self._items.append((test, operand, target))

    def unless(self, test: int, operand: int, target: _Target) -> None:
        passed = _Label()
        self.when(test, operand, passed)
        self.go(target)
        self.place(passed)

    def assemble(self) -> list[Instruction]:
        """Return the instructions.

        A test jumps 255 ahead at most, a plain jump as far as it likes: each test that leaves is followed by one.
        """
        starts = [0]
        for code, _, target in self._items:
            starts.append(starts[-1] + (2 if target is not None and code != JUMP else 1))
        if starts[-1] > MAX_INSTRUCTIONS:
            raise FilterTooLong(f"{starts[-1]} instructions, and the kernel takes {MAX_INSTRUCTIONS}")
        made: list[Instruction] = []
        for code, operand, target in self._items:
            if target is None:
                made.append(Instruction(code, 0, 0, operand))
                continue
            if code != JUMP:
                made.append(Instruction(code, 0, 1, operand))
            made.append(Instruction(JUMP, 0, 0, starts[self._places[target]] - len(made) - 1))
        return made


def reject_all() -> bytes:
    """Return the program that hands nothing over."""
    return pack([Instruction(RET, 0, 0, 0)])


def pack(program: Iterable[Instruction]) -> bytes:
    """Return a program as an array of `struct sock_filter`."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def build_filter(wanted: FrameFilter) -> list[Instruction]:
    """Return the program for Ethernet frames; it returns the bytes to keep, 0 for none.

    Raises:
        FilterTooLong: There are too many hosts, ports or VLANs.
    """
    program = _Program()
    ipv4, ipv6 = _Label(), _Label()
    _select_vlan(program, wanted.vlans)
    _find_network(program, ipv4, ipv6)
    _take_ipv4(program, ipv4, wanted)
    _take_ipv6(program, ipv6, wanted)
    for end, kept in ((_End.REJECT, 0), (_End.HEADERS, wanted.snap_bytes), (_End.WHOLE, WHOLE)):
        program.place(end)
        program.do(RET, kept)
    return program.assemble()


def _select_vlan(program: _Program, vlans: Sequence[int]) -> None:
    """Reject other VLANs, by the tag that the kernel took out of the frame, else by the one still in it."""
    if not vlans:
        return
    selected, inline, compare, untagged = _Label(), _Label(), _Label(), _Label()
    program.do(LD_BYTE, AD_VLAN_TAG_PRESENT)
    program.when(JEQ, 0, inline)
    program.do(LD_HALF, AD_VLAN_TAG)
    program.go(compare)
    program.place(inline)
    program.do(LD_HALF, _ETHER_TYPE_AT)
    tagged = _Label()
    for kind in _VLAN_TYPES:
        program.when(JEQ, kind, tagged)
    program.go(untagged)
    program.place(tagged)
    program.do(LD_HALF, _ETHER_TYPE_AT + 2)
    program.place(compare)
    program.do(AND, 0x0FFF)
    for vlan in vlans:
        program.when(JEQ, vlan, selected)
    program.go(_End.REJECT)
    program.place(untagged)
    if VLAN_NONE not in vlans:
        program.go(_End.REJECT)
    program.place(selected)


def _find_network(program: _Program, ipv4: _Label, ipv6: _Label) -> None:
    """Put where the IP header is into X, behind at most two tags that are still in the frame."""
    for tags in range(3):
        program.do(LD_HALF, _ETHER_TYPE_AT + 4 * tags)
        program.do(LDX_IMM, _ETHER_TYPE_AT + 4 * tags + 2)
        program.when(JEQ, _IPV4, ipv4)
        program.when(JEQ, _IPV6, ipv6)
        if tags < 2:
            tagged = _Label()
            for kind in _VLAN_TYPES:
                program.when(JEQ, kind, tagged)
            program.go(_End.REJECT)
            program.place(tagged)
    program.go(_End.REJECT)


def _take_ipv4(program: _Program, start: _Label, wanted: FrameFilter) -> None:
    program.place(start)
    networks = [network for network in wanted.hosts if network.version == 4]
    _select_hosts(program, wanted.hosts, [(n, (12, 16)) for n in networks])
    fragment, whole_header, datagram, segment = _Label(), _Label(), _Label(), _Label()
    program.do(IND_HALF, 6)
    program.when(JSET, 0x3FFF, fragment)
    program.do(IND_BYTE, 9)
    program.when(JEQ, _UDP, whole_header)
    program.unless(JEQ, _TCP, _End.REJECT)
    program.place(whole_header)
    program.do(ST, 0)  # the protocol, while X moves behind the header
    program.do(IND_BYTE, 0)
    program.do(AND, 15)
    program.do(LSH, 2)
    program.do(ADD_X)
    program.do(TAX)
    program.do(LD_MEM, 0)
    program.when(JEQ, _UDP, datagram)
    program.go(segment)
    program.place(fragment)
    program.do(IND_BYTE, 9)
    program.when(JEQ, _UDP, _End.WHOLE)  # its ports are in another piece: SIP is put together again
    program.go(_End.REJECT)
    _take_datagram(program, datagram, wanted)
    _take_segment(program, segment, wanted)


def _take_ipv6(program: _Program, start: _Label, wanted: FrameFilter) -> None:
    program.place(start)
    networks = [network for network in wanted.hosts if network.version == 6]
    _select_hosts(program, wanted.hosts, [(n, (8, 24)) for n in networks])
    datagram, segment, direct, extended = _Label(), _Label(), _Label(), _Label()
    program.do(IND_BYTE, 6)
    for kind in (_UDP, _TCP):
        program.when(JEQ, kind, direct)
    program.when(JEQ, _IPV6_FRAGMENT, _End.WHOLE)
    for kind in _IPV6_EXTENSIONS:
        program.when(JEQ, kind, extended)
    program.go(_End.REJECT)
    program.place(extended)  # one of them; more than one is not seen with media
    program.do(IND_BYTE, 40)
    program.do(ST, 0)
    program.do(IND_BYTE, 41)
    program.do(ADD, 1)
    program.do(LSH, 3)
    program.do(ADD, 40)
    program.do(ADD_X)
    program.do(TAX)
    program.do(LD_MEM, 0)
    program.when(JEQ, _UDP, datagram)
    program.when(JEQ, _TCP, segment)
    program.go(_End.REJECT)
    program.place(direct)
    program.do(ST, 0)
    program.do(TXA)
    program.do(ADD, 40)
    program.do(TAX)
    program.do(LD_MEM, 0)
    program.when(JEQ, _UDP, datagram)
    program.go(segment)
    _take_datagram(program, datagram, wanted)
    _take_segment(program, segment, wanted)


def _select_hosts(
    program: _Program, hosts: Sequence[Network], networks: Sequence[tuple[Network, tuple[int, int]]]
) -> None:
    """Reject packets that neither come from nor go to one of the networks (address fields count from X)."""
    if not hosts:
        return
    selected = _Label()
    for network, fields in networks:
        for field in fields:
            _match_network(program, network, field, selected)
    program.go(_End.REJECT)
    program.place(selected)


def _match_network(program: _Program, network: Network, field: int, selected: _Label) -> None:
    other = _Label()
    address, mask = network.network_address.packed, network.netmask.packed
    for at in range(0, len(address), 4):
        (bits,) = struct.unpack_from("!I", mask, at)
        (value,) = struct.unpack_from("!I", address, at)
        if not bits:
            break
        program.do(IND_WORD, field + at)
        if bits != 0xFFFFFFFF:
            program.do(AND, bits)
        program.unless(JEQ, value, other)
    program.go(selected)
    program.place(other)


def _match_ports(program: _Program, ranges: Sequence[PortRange], selected: _Target) -> None:
    """Go on at `selected` where a port at X is in one of the ranges."""
    for field in (0, 2) if ranges else ():
        program.do(IND_HALF, field)
        for first, last in ranges:
            if first == last:
                program.when(JEQ, first, selected)
                continue
            beyond = _Label()
            program.unless(JGE, first, beyond)
            program.when(JGT, last, beyond)
            program.go(selected)
            program.place(beyond)


def _take_datagram(program: _Program, start: _Label, wanted: FrameFilter) -> None:
    """Tell SIP by its port, RTP and RTCP by their version (RFC 5761 section 4), STUN, ZRTP and DTLS (RFC 7983)."""
    program.place(start)
    _match_ports(program, wanted.sip_ports, _End.WHOLE)
    if wanted.ports:
        media = _Label()
        _match_ports(program, wanted.ports, media)
        program.go(_End.REJECT)
        program.place(media)
    other = _Label()
    program.do(IND_BYTE, 8)
    program.do(RSH, 6)
    program.unless(JEQ, 2, other)
    program.do(IND_BYTE, 9)
    program.unless(JGE, 192, _End.HEADERS)
    program.when(JGT, 223, _End.HEADERS)
    program.go(_End.WHOLE)
    program.place(other)
    program.do(IND_HALF, 8)
    program.do(AND, 0xE0FF)
    program.when(JEQ, 0x00FE, _End.HEADERS)
    program.do(IND_WORD, 12)
    program.when(JEQ, _STUN_COOKIE, _End.HEADERS)
    program.when(JEQ, _ZRTP_COOKIE, _End.HEADERS)
    program.go(_End.REJECT)


def _take_segment(program: _Program, start: _Label, wanted: FrameFilter) -> None:
    program.place(start)
    _match_ports(program, wanted.sip_ports, _End.WHOLE)
    program.go(_End.REJECT)
