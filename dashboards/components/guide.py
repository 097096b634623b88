"""What an empty installation shows: how far it has come, and the exact lines that send traffic to it."""

from typing import Any, NamedTuple

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards.views import Stage


class AgentSetting(NamedTuple):
    """How a program is told to send what it sees."""

    program: str
    where: str
    lines: str
    """What goes there; `{target}`, `{host}` and `{port}` stand for the HEP listener."""
    gives: str


_KAMAILIO = """\
loadmodule "siptrace.so"
modparam("siptrace", "duplicate_uri", "sip:{target}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "hep_capture_id", 2001)
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)"""
_RTPENGINE = """\
homer = {target}
homer-protocol = udp
homer-id = 2002"""
_HEPLIFY = "heplify -i any -m SIPRTCP -hs {target} -nt udp -hi 2003"
_ASTERISK = """\
[general]
enabled = yes
capture_address = {target}
capture_id = 2004
uuid_type = call-id"""
_FREESWITCH = """\
<!-- sofia.conf.xml, global_settings -->
<param name="capture-server" value="udp:{host}:{port};hep=3;capture_id=2005"/>
<!-- each profile -->
<param name="sip-capture" value="yes"/>"""
_AGENTS = (
    AgentSetting("Kamailio", "kamailio.cfg", _KAMAILIO, "SIP of every hop, both ways."),
    AgentSetting(
        "rtpengine",
        "rtpengine.conf, section [rtpengine]",
        _RTPENGINE,
        "RTCP of both parties of every relayed call, with its Call-ID.",
    ),
    AgentSetting(
        "heplify",
        "command line, on a host that sees SIP and RTCP",
        _HEPLIFY,
        "SIP and RTCP captured from the interface.",
    ),
    AgentSetting(
        "Asterisk",
        "hep.conf (modules res_hep.so, res_hep_pjsip.so and res_hep_rtcp.so)",
        _ASTERISK,
        "SIP of chan_pjsip, and RTCP as JSON.",
    ),
    AgentSetting(
        "FreeSWITCH",
        "autoload_configs/sofia.conf.xml, then sip_profiles/*.xml",
        _FREESWITCH,
        "SIP of the profiles. Add heplify on the host for RTCP.",
    ),
)


def agent_settings(hep_target: str) -> tuple[AgentSetting, ...]:
    """Return, per program, where which lines go so that it sends to `host:port`."""
    host, _, port = hep_target.rpartition(":")
    return tuple(a._replace(lines=a.lines.format(target=hep_target, host=host, port=port)) for a in _AGENTS)


_HEADLINES = {
    Stage.NO_COLLECTOR: (
        "No collector writes here yet",
        "Start one (surgecast up, role collect), or try the whole product on simulated calls: surgecast demo.",
    ),
    Stage.NO_TRAFFIC: (
        "Listening. No agent has sent anything yet",
        "Point one of these at the collector: calls show here within five seconds of the first INVITE.",
    ),
}


def guide(stage: Stage, hep_target: str) -> Any:
    """Return the guided empty state, nothing where traffic flows."""
    if stage is Stage.RUNNING:
        return None
    headline, words = _HEADLINES[stage]
    agents = agent_settings(hep_target)
    return html.Section(
        [
            html.Div(
                [
                    html.Span(className="guide-pulse"),
                    html.Div([html.H2(headline), html.P(words)]),
                ],
                className="guide-head",
            ),
            html.Div(
                ["HEP target ", html.Code(hep_target), " (UDP; HEP3, HEP2 or HEP1)"], className="guide-target"
            ),
            dmc.Tabs(
                [
                    dmc.TabsList([dmc.TabsTab(agent.program, value=agent.program) for agent in agents]),
                    *(dmc.TabsPanel(_lines(agent), value=agent.program) for agent in agents),
                ],
                value="Kamailio",
                id="guide-tabs",
                persistence=True,
                persistence_type="session",
            ),
        ],
        className="guide",
    )


def _lines(agent: AgentSetting) -> html.Div:
    return html.Div(
        [
            html.Div(
                [
                    html.Span(agent.where, className="guide-file"),
                    html.Span(agent.gives, className="guide-gives"),
                ]
            ),
            html.Div(
                [
                    html.Pre(html.Code(agent.lines)),
                    dcc.Clipboard(
                        content=agent.lines, title=f"Copy the lines for {agent.program}", className="copy"
                    ),
                ],
                className="guide-code",
            ),
        ]
    )
