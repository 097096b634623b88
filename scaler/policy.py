"""The decision: how many pods a pool shall have, from a forecast, the load seen now, and what must not be broken.

    need  = max(forecast over the lead time, load now, blocking, reservations, campaigns, minimum)
    down  only when the load is believed and less was wanted for the whole stabilisation
    final = need, unless another autoscaler owns the pool, within a freeze, an override, steps, budget and maximum

Pure: inputs, settings, memory and the time in; a decision and the next memory out. It reads no clock and calls no
cluster, so the record of a decision is enough to make it again.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from scaler.capacity import Load, pods_for, pods_for_offered
from scaler.decision import Applied, Controls, Hold, Limit, Mode, PoolInputs, ReplicaDecision, Source, SourceNeed
from scaler.guards import Memory, believe_forecast, believe_load
from scaler.settings import PoolSettings


def decide(
    inputs: PoolInputs, pool: PoolSettings, memory: Memory, now_s: float, mode: Mode = Mode.OBSERVE
) -> tuple[ReplicaDecision, Memory]:
    """Return the decision at `now_s` (UTC seconds) and what the next one must remember."""
    memory, holds = believe_load(inputs, pool, memory, now_s)
    until_s = now_s + inputs.lead_time_s
    high, median, memory, doubts = believe_forecast(inputs.forecast, pool, memory, now_s, until_s)
    needs = tuple(_needs(inputs, pool, memory, now_s, until_s, high, median))
    wanted = max(need.pods for need in needs)
    holds = [*holds, *doubts]
    if inputs.ready < pool.ready_ratio * inputs.replicas:
        holds.append(Hold.FEW_READY)
    memory = _remember(memory, pool, wanted, now_s)
    target = wanted
    if wanted < inputs.replicas:
        target, holds = _down(inputs, pool, memory, holds, now_s)
    limits = _told_if_short(tuple(_limits(inputs, pool, target, now_s)), needs)
    final = limits[-1].after if limits else target
    drain = max(inputs.replicas - final, 0)
    if final == inputs.replicas and holds and not (inputs.owner or _stopped(inputs.controls, now_s)):
        # In doubt no pod goes, but what is already half empty is not filled again unless it is needed.
        drain = min(inputs.draining, max(inputs.replicas - wanted, 0))
    decision = ReplicaDecision(
        pool=pool.name,
        at_s=now_s,
        mode=mode,
        current=inputs.replicas,
        ready=inputs.ready,
        final=final,
        needs=needs,
        holds=tuple(holds),
        limits=limits,
        lead_time_s=inputs.lead_time_s,
        forecast_id="" if inputs.forecast is None else inputs.forecast.id,
        reason="",
        drain=drain,
    )
    return replace(decision, reason=_reason(decision)), memory


def limit_to_drained(decision: ReplicaDecision, removable: int, why: str) -> ReplicaDecision:
    """Return the decision with no more pods taken away than are empty; `why` tells what keeps the others."""
    final = decision.current - removable
    if final <= decision.final:
        return decision
    applied = Applied(Limit.DRAIN, decision.final, final, why)
    decision = replace(decision, final=final, limits=(*decision.limits, applied))
    return replace(decision, reason=_reason(decision))


def _needs(
    inputs: PoolInputs, pool: PoolSettings, memory: Memory, now_s: float, until_s: float, high: Load, median: Load
) -> Iterator[SourceNeed]:
    yield SourceNeed(Source.MINIMUM, pool.minimum, "", f"at least {pool.minimum}")
    if memory.load is not None:
        need = pods_for(memory.load, pool.pod, pool.target_utilisation)
        why = f"{_told(memory.load, need.term)} now, pods {pool.target_utilisation:.0%} full"
        yield SourceNeed(Source.REACTIVE, need.pods, need.term, why)
    live = dict(inputs.load_by_tenant)
    unused = sum(max(0.0, calls - live.get(tenant, 0.0)) for tenant, calls in pool.reserved_sessions.items())
    if unused:
        up = 0.0 if memory.load is None or math.isnan(memory.load.sessions) else memory.load.sessions
        need = pods_for(Load(sessions=up + unused), pool.pod, 1.0)
        why = f"{unused:.0f} reserved calls not in use, beside {up:.0f} up"
        yield SourceNeed(Source.RESERVATION, need.pods, need.term, why)
    if high.known:
        span = f"within {inputs.lead_time_s:.0f} s"
        need = pods_for(high, pool.pod, pool.forecast_utilisation)
        why = f"q{pool.forecast_quantile * 100:g} of {_told(high, need.term)} {span}"
        why += f", pods {pool.forecast_utilisation:.0%} full"
        yield SourceNeed(Source.FORECAST, need.pods, need.term, why)
        need = pods_for_offered(median.sessions, pool.pod, pool.blocking, pool.peakedness)
        why = f"{median.sessions:.0f} erlangs {span}, {pool.blocking:g} blocked, peakedness {pool.peakedness:g}"
        yield SourceNeed(Source.BLOCKING, need.pods, need.term, why)
    for floor in inputs.floors:
        if floor.start_s <= until_s and floor.end_s > now_s:
            need = pods_for(floor.load, pool.pod, pool.forecast_utilisation)
            yield SourceNeed(
                Source.CAMPAIGN, need.pods, need.term, f"{floor.name}: {_told(floor.load, need.term)}"
            )


def _told(load: Load, term: str) -> str:
    return f"{getattr(load, term):.0f} {term.replace('_', ' ')}" if term else "no load"


def _remember(memory: Memory, pool: PoolSettings, wanted: int, now_s: float) -> Memory:
    """Return the memory with this decision's want; equal ones in a row are kept as their first and last."""
    window = [(at, pods) for at, pods in memory.wanted if at >= now_s - pool.stabilisation]
    if len(window) >= 2 and window[-1][1] == window[-2][1] == wanted:
        window.pop()
    return replace(memory, wanted=(*window, (now_s, wanted)))


def _down(
    inputs: PoolInputs, pool: PoolSettings, memory: Memory, holds: list[Hold], now_s: float
) -> tuple[int, list[Hold]]:
    """Return how far down the pool may go now, and why not further."""
    if pool.drain.method == "none" and inputs.grace_s is not None and inputs.grace_s < pool.drain.grace_s:
        holds = [*holds, Hold.GRACE_SHORT]
    if holds:
        return inputs.replicas, holds
    since = memory.watching_since_s
    highest = max(pods for _, pods in memory.wanted)
    if since is None or now_s - since < pool.stabilisation or highest >= inputs.replicas:
        return inputs.replicas, [Hold.STABILISING]
    return highest, holds


def _stopped(controls: Controls, now_s: float) -> bool:
    return controls.kill_switch or (controls.frozen_until_s is not None and now_s < controls.frozen_until_s)


def _limits(inputs: PoolInputs, pool: PoolSettings, target: int, now_s: float) -> Iterator[Applied]:
    """Yield each limit that changes the number, in the order in which they bind."""
    controls, current = inputs.controls, inputs.replicas
    if inputs.owner:
        if target != current:
            yield Applied(Limit.OWNER, target, current, f"scaled by {inputs.owner}; remove that, or this pool")
        return
    if controls.kill_switch:
        if target != current:
            yield Applied(
                Limit.KILL_SWITCH, target, current, f"switched off by {controls.author or 'an operator'}"
            )
        return
    if controls.frozen_until_s is not None and now_s < controls.frozen_until_s:
        if target != current:
            yield Applied(Limit.FREEZE, target, current, f"frozen by {controls.author or 'an operator'}")
        return
    if controls.override is not None and (controls.override_until_s is None or now_s < controls.override_until_s):
        if controls.override != target:
            yield Applied(Limit.OVERRIDE, target, controls.override, f"set by {controls.author or 'an operator'}")
            target = controls.override
    elif target > current + pool.step_up:
        yield Applied(Limit.STEP_UP, target, current + pool.step_up, f"at most {pool.step_up} added at once")
        target = current + pool.step_up
    elif target < current - pool.step_down:
        yield Applied(
            Limit.STEP_DOWN, target, current - pool.step_down, f"at most {pool.step_down} removed at once"
        )
        target = current - pool.step_down
    if pool.affordable is not None and target > pool.affordable:
        why = f"{pool.budget_per_hour:g} an hour at {pool.cost_per_pod_hour:g} a pod"
        yield Applied(Limit.BUDGET, target, pool.affordable, why)
        target = pool.affordable
    if target > pool.maximum:
        yield Applied(Limit.MAXIMUM, target, pool.maximum, f"at most {pool.maximum}")


def _told_if_short(limits: tuple[Applied, ...], needs: tuple[SourceNeed, ...]) -> tuple[Applied, ...]:
    """Return the limits, of which the last says so where it leaves fewer pods than the load now needs."""
    reactive = max((need.pods for need in needs if need.source is Source.REACTIVE), default=0)
    if not limits or limits[-1].after >= reactive:
        return limits
    last = limits[-1]
    return (*limits[:-1], replace(last, why=f"{last.why}, below the {reactive} that the load needs"))


def _reason(decision: ReplicaDecision) -> str:
    """Return one sentence: what is done, for which need, and what stood in the way."""
    current, final = decision.current, decision.final
    verb = f"{current} → {final}" if final != current else f"stay at {current}"
    binding = decision.binding
    parts = [verb]
    if binding is not None:
        parts.append(f"{binding.source} asks for {binding.pods} ({binding.why})")
    if decision.holds:
        parts.append("no pod goes: " + ", ".join(hold.words for hold in decision.holds))
    parts += [f"{applied.limit}: {applied.why}" for applied in decision.limits]
    return "; ".join(parts)
