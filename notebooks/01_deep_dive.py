# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A deep dive into the packets of one call
#
# `surgecast call CALL_ID --pcap call.pcapng` saves the packets of a call from the packet buffer (see
# `docs/packet-buffer.md`). This notebook shows what tshark knows of them beside what Surgecast measures itself.
# Set `SURGECAST_SLICE` to the file; any pcap or pcapng will do.

# %%
import os
from pathlib import Path

from collectors.deepdive import deep_dive
from collectors.kernels.ready import prepare
from collectors.settings import CollectorSettings
from surgecast.replay import replay_files
from telephony.model import Observer

path = Path(os.environ.get("SURGECAST_SLICE", "call.pcapng"))

# %% [markdown]
# tshark and pyshark run in a bounded process of their own; what comes back are plain values.

# %%
dive = deep_dive(path)
print(dive.tool)
print(
    len(dive.sip),
    "SIP messages,",
    len(dive.rtcp),
    "RTCP packets,",
    sum(s.packets for s in dive.streams),
    "RTP packets",
)

# %% [markdown]
# ## Signalling
# Who said what, when; a message that tshark takes for a retransmission is marked.

# %%
begin_ns = min((step.time_ns for step in dive.sip), default=0)
for step in dive.sip:
    seconds = (step.time_ns - begin_ns) / 1e9
    print(f"{seconds:9.3f}  {step.src:>22} -> {step.dst:<22} {step.what}{'  (again)' if step.resent else ''}")

# %% [markdown]
# What was offered and answered:

# %%
for line in dive.sdp:
    if line.text.startswith(("c=", "m=", "a=rtpmap", "a=send", "a=recv", "a=inactive")):
        print(f"{line.number:6}  {line.src:>22}  {line.text}")

# %% [markdown]
# ## Streams: tshark's view beside ours
# Loss is the same wherever a stream is plain; where it is not (a restart of the sequence, a hold, comfort noise),
# our verdict says why the figures differ.

# %%
prepare(print)
measured = replay_files([path], CollectorSettings())
ours = {(str(s.src), str(s.dst), s.ssrc): s for s in measured.streams if s.observer is Observer.RTP}
print(f"{'stream':>47} {'packets':>8} {'lost':>6} {'jitter ms':>9}   ours: lost, jitter ms, R, verdicts")
for stream in dive.streams:
    own = ours.get((stream.src, stream.dst, stream.ssrc))
    view = (
        f"{stream.src:>22} -> {stream.dst:<22} {stream.packets:>7} {stream.lost:>6} {stream.mean_jitter_ms:>9.2f}"
    )
    if own is None:
        print(view, "  no stream of ours: fewer than two packets in a row, or no RTP")
    else:
        jitter = "-" if own.jitter_ms is None else f"{own.jitter_ms:.2f}"
        rating = "-" if own.r_factor is None else f"{own.r_factor:.0f}"
        print(view, f"  {own.lost}, {jitter}, {rating}, {own.verdict or 'no verdict'}")

# %% [markdown]
# ## What receivers reported

# %%
for report in dive.rtcp:
    if report.cumulative_lost is not None:
        print(
            f"{report.src:>22} of 0x{report.source_ssrc or 0:08x}: {report.cumulative_lost} lost in all, "
            f"jitter {report.jitter_ticks} ticks"
        )

# %% [markdown]
# ## What tshark finds odd

# %%
for remark in dive.experts:
    print(f"{remark.severity:>6} {remark.count:>5} x {remark.protocol}: {remark.summary}")
