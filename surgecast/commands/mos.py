"""`surgecast mos`: the E-model on the command line."""

from typing import Annotated

import typer

from surgecast.commands.output import AsJson, print_json
from surgecast.errors import CommandError, Exit
from telephony.codecs import is_known, lookup, on_scale
from telephony.emodel import rate
from telephony.model import Scale


def mos(
    codec: Annotated[
        str, typer.Option(help="PCMA, PCMU, G729, G722, OPUS, AMR-WB…; PCMA-NOPLC without concealment.")
    ],
    loss: Annotated[float, typer.Option(min=0, max=100, help="Packet loss in percent.")] = 0.0,
    delay: Annotated[float, typer.Option(min=0, max=60_000, help="One-way mouth-to-ear delay in ms.")] = 0.0,
    burst_ratio: Annotated[float, typer.Option(min=0.1, max=100, help="1 = random loss (G.107).")] = 1.0,
    scale: Annotated[
        Scale | None, typer.Option(help="nb (G.107), wb (G.107.1), fb (G.107.2); codec's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rate a call by the full ITU-T E-model (G.107, G.107.1, G.107.2).

    Example: surgecast mos --codec G729 --loss 2 --delay 120
    """
    if not is_known(codec):
        raise CommandError(f"codec {codec[:40]!r} is not known; for example PCMA, G729, G722, OPUS", Exit.USAGE)
    impairment = lookup(codec)
    if scale is not None:
        impairment = on_scale(impairment, scale)
    rating = rate(impairment, loss_ratio=loss / 100, delay_ms=delay, burst_ratio=burst_ratio)
    terms = rating.terms
    if as_json:
        print_json(
            {
                "r_factor": rating.r_factor,
                "mos": rating.mos,
                "scale": rating.scale.value,
                "band": rating.band.letter,
                "terms": {"ro": terms.ro, "is": terms.is_, "id": terms.id_, "ie_eff": terms.ie_eff},
            }
        )
        return
    typer.echo(
        f"MOS {rating.mos:.2f}  R {rating.r_factor:.1f}  scale {rating.scale.value}  "
        f"band {rating.band.letter}: {rating.band.text}"
    )
    typer.echo(f"R = Ro {terms.ro:.2f} − Is {terms.is_:.2f} − Id {terms.id_:.2f} − Ie,eff {terms.ie_eff:.2f}")
