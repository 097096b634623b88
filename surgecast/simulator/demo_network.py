"""The network that the demo simulates: six tenants, five trunks, three regions. Data only."""

from surgecast.simulator.network import (
    ClientMix,
    Flow,
    HoldingTime,
    Network,
    Path,
    Proxy,
    Relay,
    Tenant,
    Trunk,
)
from surgecast.simulator.profile import WeekShape
from telephony.model import Outcome


def _hours(percents: str) -> tuple[float, ...]:
    """Return 24 hourly levels from percents, midnight first."""
    return tuple(int(percent) / 100 for percent in percents.split())


_OFFICE = WeekShape(_hours("1 1 1 1 2 3 8 30 68 95 100 96 74 78 93 92 82 58 28 14 8 5 3 2"))
_CONTACT_CENTRE = WeekShape(
    _hours("14 12 11 11 12 14 20 40 74 95 100 97 88 86 90 92 86 74 62 52 40 29 21 17"),
    (1.14, 1.02, 0.97, 0.95, 0.92, 0.62, 0.45),
)
_CARRIER = WeekShape(
    _hours("44 36 32 30 30 33 42 56 70 80 86 88 86 85 86 88 92 97 100 98 91 80 66 54"),
    (1.0, 0.99, 0.99, 1.0, 1.04, 0.92, 0.88),
)
_CLINIC = WeekShape(
    _hours("11 10 9 9 9 10 15 44 96 100 88 76 60 72 74 66 50 34 25 21 18 15 13 12"),
    (1.25, 1.0, 0.95, 0.95, 0.9, 0.35, 0.28),
)
_SCHOOL = WeekShape(
    _hours("1 1 1 1 1 4 35 100 80 50 42 42 45 45 60 82 50 26 12 6 3 2 1 1"), (1.05, 1.0, 1.0, 1.0, 0.9, 0.06, 0.04)
)

_SHOP = WeekShape(
    _hours("6 4 4 4 4 6 12 26 52 84 96 92 80 86 90 92 96 100 92 74 48 28 16 9"),
    (0.95, 0.93, 0.94, 0.96, 1.0, 0.92, 0.84),
)


def _outcomes(
    answered: float,
    no_answer: float,
    busy: float,
    abandoned: float,
    rejected: float,
    client_error: float,
    no_facility: float,
) -> tuple[tuple[Outcome, float], ...]:
    """Return the mix; what is left goes to redirection, time-out and refused credentials."""
    left = 1 - answered - no_answer - busy - abandoned - rejected - client_error - no_facility
    return (
        (Outcome.ANSWERED, answered),
        (Outcome.NO_ANSWER, no_answer),
        (Outcome.BUSY, busy),
        (Outcome.ABANDONED, abandoned),
        (Outcome.REJECTED, rejected),
        (Outcome.CLIENT_ERROR, client_error),
        (Outcome.NO_FACILITY, no_facility),
        (Outcome.TIMEOUT, left * 0.5),
        (Outcome.REDIRECTED, left * 0.3),
        (Outcome.CHALLENGED, left * 0.2),
    )


DEMO_NETWORK = Network(
    proxies=(
        Proxy(2001, "sbc-eu-1", "eu-west", "192.0.2.10"),
        Proxy(2002, "sbc-eu-2", "eu-west", "192.0.2.11"),
        Proxy(2003, "sbc-us-1", "us-east", "192.0.2.74"),
        Proxy(2004, "sbc-ap-1", "ap-south", "192.0.2.138"),
    ),
    relays=(
        Relay(3001, "relay-eu-1", "eu-west", "media-eu", "192.0.2.20"),
        Relay(3002, "relay-eu-2", "eu-west", "media-eu", "192.0.2.21"),
        Relay(3003, "relay-us-1", "us-east", "media-us", "192.0.2.84"),
        Relay(3004, "relay-us-2", "us-east", "media-us", "192.0.2.85"),
        Relay(3005, "relay-ap-1", "ap-south", "media-ap", "192.0.2.148"),
    ),
    trunks=(
        Trunk(
            name="carrier-a",
            region="eu-west",
            network="198.51.100.0/27",
            domain="sip.carrier-a.example",
            codecs=("PCMA", "G729"),
            path=Path(9, 1.2, 0.0004),
            post_dial_s=1.6,
        ),
        Trunk(
            name="carrier-b",
            region="eu-west",
            network="198.51.100.32/27",
            domain="sip.carrier-b.example",
            codecs=("PCMA", "PCMU"),
            path=Path(16, 2.4, 0.0015),
            post_dial_s=2.3,
        ),
        Trunk(
            name="carrier-c",
            region="us-east",
            network="198.51.100.64/27",
            domain="sip.carrier-c.example",
            codecs=("PCMU", "G729"),
            path=Path(12, 1.6, 0.0006),
            post_dial_s=1.9,
        ),
        Trunk(
            name="carrier-d",
            region="ap-south",
            network="198.51.100.96/27",
            domain="sip.carrier-d.example",
            codecs=("PCMA", "PCMU"),
            path=Path(24, 3.0, 0.002),
            post_dial_s=2.8,
        ),
        Trunk(
            name="transit-x",
            region="eu-west",
            network="198.51.100.128/27",
            domain="transit-x.example",
            codecs=("G729", "PCMA"),
            path=Path(38, 4.5, 0.004, 1.8),
            post_dial_s=3.6,
            rtcp_ratio=0.75,
        ),
    ),
    clients=(
        ClientMix("desk-phone", "Yealink SIP-T46U 108.86.0.45", ("PCMA", "PCMU", "G729"), Path(6, 0.8, 0.0002)),
        ClientMix("desk-phone-hd", "PolyVVX-VVX_450-UA/6.4.6", ("G722", "PCMU", "PCMA"), Path(8, 1.0, 0.0003)),
        ClientMix("softphone", "Zoiper v2.10.20", ("OPUS", "PCMA", "PCMU"), Path(21, 5.5, 0.003, 1.6), 1.0, 0.35),
        ClientMix(
            "mobile-app", "Groundwire/6.4", ("OPUS", "G722", "PCMU", "PCMA"), Path(48, 11.0, 0.008, 2.2), 0.95, 0.5
        ),
        ClientMix("legacy-ata", "Cisco/SPA112-1.4.1", ("PCMU", "PCMA"), Path(14, 2.0, 0.001), 0.0),
        ClientMix("carrier-gateway", "Sonus-SBC/9.2", ("PCMA", "G729", "PCMU"), Path(30, 2.8, 0.002), 0.9),
    ),
    tenants=(
        Tenant(
            name="meridian-support",
            domain="meridian.example",
            zone="Europe/Amsterdam",
            network="10.10.0.0/16",
            shape=_CONTACT_CENTRE,
            share=0.24,
            day_cv=0.08,
            intraday_cv=0.05,
            holding=HoldingTime(288, 0.95, 0.06, 18),
            flows=((Flow.INBOUND, 0.78), (Flow.OUTBOUND, 0.22)),
            outcomes=_outcomes(0.79, 0.05, 0.03, 0.10, 0.005, 0.01, 0.006),
            proxies=("sbc-eu-1", "sbc-eu-2"),
            trunks=(("carrier-a", 0.7), ("carrier-b", 0.3)),
            clients=(("desk-phone", 0.55), ("softphone", 0.45)),
            devices=900,
            auth_ratio=0.3,
            number_format="+31201234{:04d}",
            answer_median_s=3.0,
        ),
        Tenant(
            name="harbour-ucaas",
            domain="harbour.example",
            zone="Europe/London",
            network="10.20.0.0/16",
            shape=_OFFICE,
            share=0.20,
            day_cv=0.07,
            intraday_cv=0.06,
            holding=HoldingTime(176, 1.3),
            flows=((Flow.OUTBOUND, 0.45), (Flow.INBOUND, 0.33), (Flow.INTERNAL, 0.22)),
            outcomes=_outcomes(0.64, 0.19, 0.06, 0.03, 0.02, 0.03, 0.008),
            proxies=("sbc-eu-1", "sbc-eu-2"),
            trunks=(("carrier-b", 0.6), ("carrier-a", 0.4)),
            clients=(("desk-phone-hd", 0.45), ("softphone", 0.25), ("mobile-app", 0.2), ("legacy-ata", 0.1)),
            devices=2400,
            auth_ratio=0.9,
            number_format="+44163296{:04d}",
            answer_median_s=7.0,
        ),
        Tenant(
            name="atlas-wholesale",
            domain="atlas.example",
            zone="Europe/Berlin",
            network="10.30.0.0/24",
            shape=_CARRIER,
            share=0.26,
            day_cv=0.09,
            intraday_cv=0.07,
            holding=HoldingTime(132, 1.4, 0.2),
            flows=((Flow.TRANSIT, 1.0),),
            outcomes=_outcomes(0.47, 0.21, 0.08, 0.06, 0.02, 0.09, 0.03),
            proxies=("sbc-eu-2", "sbc-us-1"),
            trunks=(("transit-x", 0.55), ("carrier-c", 0.25), ("carrier-a", 0.2)),
            clients=(("carrier-gateway", 1.0),),
            devices=8,
            auth_ratio=0.0,
            number_format="+49302312{:04d}",
            answer_median_s=9.0,
        ),
        Tenant(
            name="lakeside-health",
            domain="lakeside.example",
            zone="America/New_York",
            network="10.40.0.0/16",
            shape=_CLINIC,
            share=0.12,
            day_cv=0.10,
            intraday_cv=0.08,
            holding=HoldingTime(214, 1.15),
            flows=((Flow.INBOUND, 0.6), (Flow.OUTBOUND, 0.3), (Flow.INTERNAL, 0.1)),
            outcomes=_outcomes(0.70, 0.11, 0.06, 0.06, 0.01, 0.02, 0.006),
            proxies=("sbc-us-1",),
            trunks=(("carrier-c", 1.0),),
            clients=(("desk-phone", 0.5), ("desk-phone-hd", 0.3), ("legacy-ata", 0.2)),
            devices=1100,
            auth_ratio=0.6,
            number_format="+1202555{:04d}",
            answer_median_s=6.0,
        ),
        Tenant(
            name="pinecrest-schools",
            domain="pinecrest.example",
            zone="America/Chicago",
            network="10.50.0.0/16",
            shape=_SCHOOL,
            share=0.03,
            day_cv=0.20,
            intraday_cv=0.25,
            holding=HoldingTime(118, 1.2),
            flows=((Flow.INBOUND, 0.5), (Flow.OUTBOUND, 0.35), (Flow.INTERNAL, 0.15)),
            outcomes=_outcomes(0.62, 0.2, 0.07, 0.04, 0.01, 0.03, 0.008),
            proxies=("sbc-us-1",),
            trunks=(("carrier-c", 1.0),),
            clients=(("desk-phone", 0.7), ("legacy-ata", 0.3)),
            devices=160,
            auth_ratio=1.0,
            number_format="+1312555{:04d}",
            answer_median_s=8.0,
        ),
        Tenant(
            name="sakura-retail",
            domain="sakura.example",
            zone="Asia/Tokyo",
            network="10.60.0.0/16",
            shape=_SHOP,
            share=0.15,
            day_cv=0.14,
            intraday_cv=0.12,
            holding=HoldingTime(158, 1.25),
            flows=((Flow.OUTBOUND, 0.5), (Flow.INBOUND, 0.3), (Flow.INTERNAL, 0.2)),
            outcomes=_outcomes(0.68, 0.14, 0.07, 0.03, 0.02, 0.03, 0.008),
            proxies=("sbc-ap-1",),
            trunks=(("carrier-d", 1.0),),
            clients=(("desk-phone-hd", 0.6), ("mobile-app", 0.4)),
            devices=260,
            auth_ratio=0.8,
            number_format="+81300000{:03d}",
            answer_median_s=6.0,
        ),
    ),
)
