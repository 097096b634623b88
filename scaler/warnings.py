"""What an operator should know about a pool's pods before the scaler acts on them: told, never decided by."""

from scaler.settings import PoolSettings
from scaler.target import TargetState
from telephony.durations import format_duration


def warnings_of(pool: PoolSettings, state: TargetState) -> tuple[str, ...]:
    """Return sentences, each with what to do; empty where all is well."""
    return tuple(text for text in (_owner(state), _grace(pool, state)) if text)


def _owner(state: TargetState) -> str:
    return f"scaled by {state.owner}, so never by us: remove that, or this pool" if state.owner else ""


def _grace(pool: PoolSettings, state: TargetState) -> str:
    """Compare the grace period, which includes preStop hooks, with the longest call that is worth saving."""
    drain, grace_s = pool.drain, state.grace_s
    if grace_s is None:
        return ""
    emptied, longest = drain.method != "none", format_duration(round(drain.deadline))
    if grace_s >= drain.grace_s:
        if emptied or all(pod.pre_stop for pod in state.pods):
            return ""
        return (
            f"pods have no preStop hook: calls of up to {longest} (drain.deadline) are kept only if the container "
            "waits for them once it is told to end"
        )
    cut = f"after {grace_s:g} s (terminationGracePeriodSeconds) calls are cut, and they may last {longest}"
    mend = f"set it to at least {drain.grace_s:g}, with a preStop hook that waits for calls"
    if emptied:
        return f"by rollouts, evictions and node drains, {cut} (drain.deadline): {mend}"
    return f"no pod is taken away: {cut} (drain.deadline); {mend}, or name a drain.method, or lower drain.deadline"
