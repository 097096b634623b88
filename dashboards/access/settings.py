"""What an operator can set about signing in: local users, and a proxy that has signed people in already."""

from ipaddress import IPv4Network, IPv6Network

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from dashboards.access.passwords import is_hash
from dashboards.access.roles import CONFINED, Role
from telephony.model import UNASSIGNED

Network = IPv4Network | IPv6Network


EXAMPLE_HASH = "$argon2id$v=19$m=65536,t=3,p=4$YW4gZXhhbXBsZSdzIG9uZQ$bm9ib2R5J3MgcGFzc3dvcmQgaGFzIHRoaXMgaGFzaCE"
"""Well-formed, and of no password."""


class _Granted(BaseModel):
    """A role and the tenants it is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role = Field(description="What they are here for.", examples=["engineer"])
    tenants: tuple[str, ...] = Field(
        default=(),
        description="Tenants to see: required for client_success and tenant_viewer; none is all for the others.",
        examples=[["acme"]],
    )

    @model_validator(mode="after")
    def _tenants_are_given(self) -> "_Granted":
        if UNASSIGNED in self.tenants:
            raise ValueError(f"{UNASSIGNED!r} is no tenant: only roles that see every tenant see it")
        if self.role in CONFINED and not self.tenants:
            raise ValueError(f"a {self.role.value} needs tenants, for example tenants: [acme]")
        return self


class UserSettings(_Granted):
    """Somebody who signs in here with a password."""

    name: str = Field(min_length=1, max_length=128, description="To sign in with.", examples=["ada"])
    password_hash: SecretStr = Field(description="What `surgecast web password` prints.", examples=[EXAMPLE_HASH])

    @field_validator("password_hash")
    @classmethod
    def _is_argon2(cls, value: SecretStr) -> SecretStr:
        if not is_hash(value.get_secret_value()):
            raise ValueError("not an argon2 hash; `surgecast web password` makes one")
        return value


class GrantSettings(_Granted):
    """What the members of a group may see."""

    group: str = Field(min_length=1, description="As the proxy names it.", examples=["noc"])


class ProxySettings(BaseModel):
    """A proxy before the pages, which tells who is asking, and of which groups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: tuple[Network, ...] = Field(
        default=(),
        description="Where the proxy is; headers from anywhere else are not believed.",
        examples=[["127.0.0.1/32"]],
    )
    user_header: str = Field(
        default="",
        description="Header with the user's name; empty where people sign in here.",
        examples=["X-Forwarded-User"],
    )
    groups_header: str = Field(
        default="X-Forwarded-Groups",
        description="Header with the user's groups, separated by commas.",
        examples=["X-Forwarded-Groups"],
    )
    grants: tuple[GrantSettings, ...] = Field(
        default=(),
        description="What groups may see; the first that a user is in counts, and who is in none sees nothing.",
        examples=[[{"group": "noc", "role": "engineer"}]],
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "ProxySettings":
        if self.user_header and not self.networks:
            raise ValueError("user_header needs networks to believe it of, for example networks: [127.0.0.1/32]")
        if self.user_header and not self.grants:
            raise ValueError("user_header needs grants, for example grants: [{group: noc, role: engineer}]")
        return self
