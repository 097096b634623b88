"""Every page, callback and address as every role, with forged inputs: nothing outside the scope comes back.

What is foreign is read from the store itself: every text that rows of other tenants have and rows within the scope
have not. Where an input names something foreign, the answer must be that for a name that exists nowhere.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import hypothesis
import pyarrow as pa
import pytest
import sample_hour
from flask.testing import FlaskClient
from hypothesis import strategies as st

from dashboards.access.areas import Actor, Area, Via
from dashboards.access.guard import SIGN_IN
from dashboards.access.roles import Role, tenants_of
from dashboards.app import GUARD, build_app
from dashboards.auth import ACTOR
from dashboards.pages.tenant_pages import PAGES
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from storage.open import open_store
from storage.schema import MEASUREMENTS
from storage.seam import Scope, Store, Window

NOW_NS = sample_hour.NOW_NS
DAY_NS = 86_400 * 10**9
SPAN = Window(NOW_NS - 30 * DAY_NS, NOW_NS + 30 * DAY_NS)
OWN, FOREIGN = "acme", "globex"
NOBODY = "n0body"
"""A name of the same length as the foreign tenant's, which exists nowhere."""
WORDS = frozenset({"unknown", "capture"})
"""Values of tags that are words of the product as well."""
FOREIGN_CALL = "foreign-call-of-globex@10.66.66.66"
NO_CALL = "n0where-call-of-n0body@10.00.00.00"
ACTORS = {
    role: Actor(f"the {role.value}", role, tenants_of(role, () if role is Role.ENGINEER else (OWN,)), Via.PASSWORD)
    for role in Role
}
CONFINED = [role for role in Role if role is not Role.ENGINEER]
PATHOLOGICAL: tuple[Any, ...] = (
    None, "", "%", "' OR 1=1 --", "\0", "x" * 5000, -1, 10**30, [], [OWN, FOREIGN], {}, {"tenant": FOREIGN}, True,
)  # fmt: skip


def plant(store: Store) -> None:
    """Give the foreign tenant a row with its own texts in every measurement, and the capture a few as well."""
    sample_hour.fill(store)
    for name, measurement in MEASUREMENTS.items():
        for tenant in (FOREIGN, "unassigned"):
            row: dict[str, Any] = {}
            for field in measurement.schema:
                if pa.types.is_string(field.type):
                    row[field.name] = f"planted-{tenant}-{field.name}"
                elif pa.types.is_timestamp(field.type):
                    row[field.name] = NOW_NS - 60 * 10**9
            row |= {"time": NOW_NS - 60 * 10**9}
            if "tenant" in measurement.schema.names:
                row["tenant"] = tenant
            if "call_id" in measurement.schema.names and tenant == FOREIGN:
                row["call_id"] = FOREIGN_CALL
            sample_hour.write(store, name, [row], writer=f"plant-{name}-{tenant}")


def texts(store: Store, scope: Scope) -> set[str]:
    """Return every text in the rows of a scope."""
    found: set[str] = set()
    for name, measurement in MEASUREMENTS.items():
        table = store.reader(scope).select(name, SPAN, limit=200_000)
        for field in measurement.schema:
            if pa.types.is_string(field.type):
                found |= {str(value) for value in pa.compute.unique(table[field.name]).to_pylist() if value}
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(str(tmp_path_factory.mktemp("walk")))
    plant(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def marks(store: Store) -> frozenset[str]:
    """What nobody but an engineer of every tenant may be told."""
    own = texts(store, Scope.of("walk", OWN))
    foreign = texts(store, Scope.everything("walk")) - own
    return frozenset(
        text for text in foreign if len(text) > 4 and text not in WORDS and not any(text in mine for mine in own)
    )


@pytest.fixture(scope="module")
def services(store: Store) -> Services:
    return Services.of(store, DashboardSettings(), lambda: NOW_NS)


@pytest.fixture(scope="module")
def app(services: Services) -> Any:
    return build_app(services)


class Visitor:
    """Somebody of a role, and what the application tells them."""

    def __init__(self, app: Any, services: Services, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
        self.actor = ACTORS[role]
        self.client: FlaskClient = app.server.test_client()
        self.callbacks = {c["output"]: c for c in self.client.get("/_dash-dependencies").get_json()}
        self.caches = services.caches().values()
        monkeypatch.setattr("dashboards.access.identity.Identity.of", lambda *_: self.actor)
        monkeypatch.setattr("dashboards.pages.ticking.FIRST_ANSWER_SECONDS", 0.0)

    def body(self, output: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return what a browser would send for a callback."""
        spec = self.callbacks[output]
        inputs, state = ([sent(part, values) for part in spec[kind]] for kind in ("inputs", "state"))
        outputs: Any = [
            dict(zip(("id", "property"), o.rsplit(".", 1), strict=True)) for o in output.strip(".").split("...")
        ]
        first = inputs[0][0] if isinstance(inputs[0], list) else inputs[0]
        written = json.dumps(first["id"], sort_keys=True, separators=(",", ":"))
        name = first["id"] if isinstance(first["id"], str) else written
        return {
            "output": output,
            "outputs": outputs if output.startswith("..") else outputs[0],
            "inputs": inputs,
            "state": state,
            "changedPropIds": [f"{name}.{first['property']}"],
        }

    def send(self, body: Any) -> tuple[int, str]:
        """Send a callback's body as it is."""
        answer = self.client.post("/_dash-update-component", json=body)
        return answer.status_code, answer.get_data(as_text=True)

    def call(self, output: str, values: dict[str, Any]) -> tuple[int, str]:
        """Send a callback's inputs, let the background read, and send them again: what was cached then."""
        body = self.body(output, values)
        said = []
        for _ in range(2):
            status, text = self.send(body)
            said.append(text)
            for cache in self.caches:
                cache.refresh(NOW_NS)
        return status, "\n".join(said)


def sent(part: dict[str, str], values: dict[str, Any]) -> Any:
    """Return what is sent for an input; a pattern matches one component."""
    value = value_of(part, values)
    if part["id"].startswith("{"):
        id_ = {"id": "x", "type": json.loads(part["id"])["type"]}
        return [{"id": id_, "property": part["property"], "value": value}]
    return {"id": part["id"], "property": part["property"], "value": value}


def value_of(part: dict[str, str], values: dict[str, Any]) -> Any:
    """Return the value of an input: by its id and property, else that for all."""
    heard = {"view": values.get("search"), "version": -1, "digests": {}, "read": 0}
    known = {"heard": heard} if part["id"].endswith("-heard") else {}
    counted = {"n_clicks": 1, "n_intervals": 1}
    values = counted | values
    return known.get("heard") or values.get(part["id"], values.get(part["property"], values.get("*")))


def views(tenant: str, call_id: str) -> list[dict[str, Any]]:
    """Return forged inputs that name a tenant and a call."""
    searches = [
        f"?range=24h&tenant={tenant}",
        f"?tenant={tenant}&trunk=planted-{tenant}-trunk&region=planted-{tenant}-region&node=planted-{tenant}-node",
        f"?of=tenant:{tenant}",
        f"?of=pool:planted-{tenant}-pool",
        f"?of=trunk:planted-{tenant}-trunk&signal=arrivals",
        f"?tenant={OWN}&tenant={tenant}",
        f"?range=30d&number=planted-{tenant}-to&to=planted-{tenant}-destination&code=1xx,200&mos=5&page=1",
    ]
    bodies = [{"page": page, "tenant": tenant} for page in ("tenant", "tenants", "executive")]
    paths = [f"/call/{quote(call_id, safe='')}", f"/live/{tenant}", "/live", "/calls", "/capacity", "/call/x", "/"]
    return [
        {"search": search, "pathname": path, "call-id": call_id, "body-of": body, "*": tenant}
        for search, path, body in zip(searches, paths, itertools.cycle(bodies))
    ]


def anonymous(said: str, tenant: str, call_id: str) -> str:
    """Return an answer without the names that were asked for, counters of the cache, and digests over both."""
    said = re.sub(r'"version":\s*\d+', '"version": 0', said)
    said = re.sub(r'"digests":\s*\{[^}]*\}', '"digests": {}', said)
    for name, word in ((call_id, "CALL"), (quote(call_id, safe=""), "CALL"), (tenant, "TENANT")):
        said = said.replace(name, word)
    return said


def server_side(app: Any) -> list[str]:
    return [output for output, entry in app.callback_map.items() if "callback" in entry]


def test_every_callback_and_address_is_of_an_area(app: Any) -> None:
    guard = app.server.extensions[GUARD]
    assert [] == [output for output in app.callback_map if guard.area_of(output) is None]


def test_there_is_something_foreign_to_find(marks: frozenset[str]) -> None:
    assert {FOREIGN_CALL, FOREIGN, f"planted-{FOREIGN}-trunk", "planted-unassigned-text"} <= marks


@pytest.mark.parametrize("role", list(Role))
def test_only_areas_of_the_role_answer(
    app: Any, services: Services, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    visitor, guard = Visitor(app, services, role, monkeypatch), app.server.extensions[GUARD]
    answered = {output: visitor.call(output, views(OWN, "x")[2])[0] != 403 for output in server_side(app)}
    shared = next(output for output in answered if guard.area_of(output) is Area.BODY)
    pages = {view["body-of"]["page"]: visitor.call(shared, view)[0] == 200 for view in views(OWN, "x")}
    expected = {output: role in guard.area_of(output).value.roles for output in answered}
    assert expected | {shared: pages["executive"]} == answered
    assert {page: role in area.value.roles for page, area in PAGES.items()} == pages


@pytest.mark.parametrize("role", CONFINED)
def test_forged_inputs_bring_nothing_foreign(
    app: Any, services: Services, marks: frozenset[str], monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    """A foreign name is as one that never was, and nothing else of its tenant is told beside it."""
    visitor = Visitor(app, services, role, monkeypatch)
    leaks = []
    for output in server_side(app):
        pairs = zip(views(FOREIGN, FOREIGN_CALL), views(NOBODY, NO_CALL), strict=True)
        for theirs, nobodys in pairs:
            visitor.call(output, nobodys)  # also where both names lead to the same view, it has been read before
            _, said = visitor.call(output, theirs)
            said = anonymous(said, FOREIGN, FOREIGN_CALL)
            leaks += [(output[:60], theirs["search"], mark) for mark in marks if mark in said]
            _, control = visitor.call(output, nobodys)
            if said.splitlines()[-1:] != anonymous(control, NOBODY, NO_CALL).splitlines()[-1:]:
                leaks.append((output[:60], theirs["search"], "tells that it exists"))
    assert [] == leaks


@pytest.mark.parametrize("role", CONFINED)
def test_pathological_inputs_bring_nothing_foreign(
    app: Any, services: Services, marks: frozenset[str], monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    visitor = Visitor(app, services, role, monkeypatch)
    leaks = []
    for output, value in itertools.product(server_side(app), PATHOLOGICAL):
        status, said = visitor.call(output, {"*": value, "call-id": value if isinstance(value, str) else "x"})
        asked = json.dumps(value)
        leaks += [(output[:60], str(value)[:40], mark) for mark in marks if mark in said and mark not in asked]
        assert status < 500
    assert [] == leaks


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def mutated(draw: Callable[[st.SearchStrategy[Any]], Any], whole: Any) -> Any:
    """Return a JSON value with one part of it, however deep, in place of which is anything at all."""
    if isinstance(whole, dict | list) and whole and draw(st.integers(0, 5)):
        copy: Any = whole.copy()
        at = draw(st.sampled_from(sorted(whole) if isinstance(whole, dict) else range(len(whole))))
        if draw(st.integers(0, 8)):
            copy[at] = mutated(draw, whole[at])
        else:
            del copy[at]
        return copy
    return draw(JSON)


@pytest.mark.parametrize("role", list(Role))
def test_no_body_of_a_callback_is_an_error(
    app: Any, services: Services, marks: frozenset[str], role: Role
) -> None:
    """Whatever is sent: it is answered or refused, and nothing foreign is told."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        visitor = Visitor(app, services, role, monkeypatch)
        guard = app.server.extensions[GUARD]
        before, refused = guard.refused[400], 0

        @hypothesis.settings(max_examples=300, database=None, derandomize=True)
        @hypothesis.given(st.data())
        def send(data: st.DataObject) -> None:
            nonlocal refused
            output = data.draw(st.sampled_from(server_side(app)))
            body = mutated(data.draw, visitor.body(output, views(OWN, "x")[0]))
            status, said = visitor.send(body)
            refused += status == 400
            assert status in (200, 204, 400, 403), said
            if role is not Role.ENGINEER:
                assert [] == [mark for mark in marks if mark in said and mark not in json.dumps(body)]

        send()
    assert 0 < refused == guard.refused[400] - before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[" * 50_000, b'{"output": "\xff"}', b'{"output": "\\ud800"}', b"NaN"]
)
def test_a_body_that_is_no_json_is_refused(
    app: Any, services: Services, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    visitor = Visitor(app, services, Role.ENGINEER, monkeypatch)
    answer = visitor.client.post("/_dash-update-component", data=body, content_type="application/json")
    assert (400, {"error": "no page of ours asks like that"}) == (answer.status_code, answer.get_json())


@pytest.mark.parametrize("role", list(Role))
def test_no_address_is_an_error(app: Any, services: Services, role: Role) -> None:
    """Whatever stands in an address and behind it."""
    rules = [rule for rule in app.server.url_map.iter_rules() if not rule.rule.startswith("/_dash")]
    with pytest.MonkeyPatch.context() as monkeypatch:
        visitor = Visitor(app, services, role, monkeypatch)

        @hypothesis.settings(max_examples=150, database=None, derandomize=True)
        @hypothesis.given(st.data())
        def send(data: st.DataObject) -> None:
            rule = data.draw(st.sampled_from(rules))
            texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
            path = re.sub(r"<[^>]+>", lambda _: quote(data.draw(texts), safe=""), rule.rule)
            names = st.sampled_from(["tenant", "period", "format", "range", "x"])
            query = data.draw(st.dictionaries(names, texts | st.sampled_from(["csv", "last-7d", OWN]), max_size=3))
            method = data.draw(st.sampled_from(sorted((rule.methods or set()) & {"GET", "POST", "DELETE"})))
            body = {"json": data.draw(JSON)} if method == "POST" else {}
            with visitor.client.open(path, query_string=query, method=method, **body) as answer:
                assert answer.status_code < 500, (method, path, query, body)

        send()


@pytest.mark.parametrize("role", CONFINED)
def test_addresses_bring_nothing_foreign(
    app: Any, services: Services, marks: frozenset[str], monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    """Pages, exports and every other rule that Flask knows, with the foreign call and tenant in each place."""
    visitor = Visitor(app, services, role, monkeypatch)
    leaks = []
    for rule in app.server.url_map.iter_rules():
        for name in (FOREIGN_CALL, FOREIGN, f"planted-{FOREIGN}-trunk"):
            path = re.sub(r"<[^>]+>", quote(name, safe=""), rule.rule)
            for method in sorted((rule.methods or set()) & {"GET", "POST", "DELETE"}):
                if method == "POST" and rule.rule.startswith("/_dash"):
                    continue  # the callbacks, called one by one above
                with visitor.client.open(f"{path}?tenant={FOREIGN}", method=method) as answer:
                    said = answer.get_data().decode(errors="replace").replace(name, "")
                leaks += [(method, path, mark) for mark in marks if mark in said and mark != FOREIGN]
    assert [] == leaks


@pytest.mark.parametrize("role", CONFINED)
@pytest.mark.parametrize("kind", ["svg", "csv"])
def test_foreign_calls_have_no_export(
    app: Any, services: Services, monkeypatch: pytest.MonkeyPatch, role: Role, kind: str
) -> None:
    visitor = Visitor(app, services, role, monkeypatch)
    allowed = role in Area.CALL.value.roles
    status = visitor.client.get(f"/export/call/{quote(FOREIGN_CALL)}/ladder.{kind}").status_code
    assert (404 if allowed else 403) == status


@pytest.mark.parametrize("role", list(Role))
def test_events_are_announced_by_engineers_and_operators_of_every_tenant(
    app: Any, services: Services, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    status = Visitor(app, services, role, monkeypatch).client.delete("/api/v1/events/e-none").status_code
    assert (404 if role is Role.ENGINEER else 403) == status


def test_an_engineer_finds_all_of_it(
    app: Any, services: Services, marks: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the walk would notice: the same calls as an engineer of every tenant do tell."""
    visitor = Visitor(app, services, Role.ENGINEER, monkeypatch)
    said = "".join(
        visitor.call(output, view)[1] for output in server_side(app) for view in views(FOREIGN, FOREIGN_CALL)
    )
    assert {f"planted-{FOREIGN}-trunk", FOREIGN_CALL} <= {mark for mark in marks if mark in said}


def test_no_header_makes_an_actor(store: Store) -> None:
    """The actor lies beside the headers, where no request can put it."""
    services = Services.of(store, DashboardSettings(), lambda: NOW_NS)
    client = build_app(services).server.test_client()
    forged = {ACTOR: "x", f"HTTP_{ACTOR}": "x", "X-Surgecast-Actor": "engineer"}
    answer = client.get("/_dash-layout", headers=forged, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert (401, 303) == (
        answer.status_code,
        client.get("/live", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code,
    )
    assert SIGN_IN.startswith("/")
