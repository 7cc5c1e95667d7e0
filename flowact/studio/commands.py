"""The commands of `flowact studio`: fetch the character data, render a dataset, look at it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

studio_app = typer.Typer(
    name="studio",
    help="Make labelled talking people who do not exist: 3D characters and drawn puppets with synthetic voices.",
    no_args_is_help=True,
)

Assets = Annotated[
    Path | None,
    typer.Option(
        help="Character data: the makehuman-cc0 folder or its .tar.xz.  [default: where `fetch` puts it]",
        envvar="FLOWACT_ASSETS",
    ),
]
Size = Annotated[int, typer.Option(min=64, help="Height and width in pixels.")]
Frames = Annotated[int, typer.Option(min=1, help="Frames per clip, at 25 fps.")]


class What(StrEnum):
    """The rows of a contact sheet that is rendered on the fly."""

    people = "people"
    actions = "actions"


@studio_app.command()
def render(
    out: Annotated[Path, typer.Argument(help="Folder for the shards; run again to finish a stopped rendering.")],
    identities: Annotated[int, typer.Option(min=1, help="Number of people; every fifth is a drawn puppet.")] = 320,
    takes: Annotated[int, typer.Option(min=1, help="Clips per person.")] = 4,
    frames: Frames = 100,
    size: Size = 256,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the number of free cores is best.")] = 1,
    assets: Assets = None,
    seed: Annotated[int, typer.Option(min=0, help="Root of every random choice.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first person, to add people to another set.")] = 0,
    busy_hands: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the people who gesture all the time.")
    ] = 0.0,
    loose_faces: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the people whose faces do what they like.")
    ] = 0.0,
) -> None:
    """Render a labelled dataset as tar shards: flowact-train-*, flowact-val-* (unseen people), flowact-sentences-*."""
    from flowact.studio.dataset import render_dataset

    manifest = render_dataset(
        out, identities, takes, frames, size, workers, assets, seed, first, busy_hands, loose_faces
    )
    typer.echo(f"wrote {manifest}")


@studio_app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="The picture to write, for example sheet.png.")],
    shards: Annotated[
        list[Path] | None, typer.Argument(help="Shards to show; without any, clips are rendered.")
    ] = None,
    what: Annotated[What, typer.Option(help="What to render: several people, or one person's actions.")] = What.people,
    first: Annotated[int, typer.Option(min=0, help="First person to render.")] = 0,
    rows: Annotated[int, typer.Option(min=1, help="People or clips to show.")] = 10,
    columns: Annotated[int, typer.Option(min=1, help="Moments of each clip.")] = 8,
    frames: Frames = 75,
    size: Size = 256,
    framing: Annotated[str, typer.Option(help="How much of a person is seen: face, bust or waist.")] = "bust",
    boxes: Annotated[bool, typer.Option("--boxes", help="Outline the mouth labels.")] = False,
    assets: Assets = None,
) -> None:
    """Draw a contact sheet: a row for each person, clip or action, a column for each moment."""
    from flowact.studio.fetch import find_assets
    from flowact.studio.sheet import draw_sheet, rows_from_shards, rows_of_actions, rows_of_people

    if shards:
        lines = rows_from_shards(shards, rows)
    elif what is What.people:
        lines = rows_of_people(first, rows, frames, size, find_assets(assets), framing)
    else:
        lines = rows_of_actions(first, frames, size, find_assets(assets), framing)
    draw_sheet(lines, columns, boxes).save(out)
    typer.echo(f"wrote {out}")


@studio_app.command()
def fetch(
    archive: Annotated[
        Path | None, typer.Option(help="Unpack this .tar.xz of the data instead of downloading.")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Target folder.  [default: the user's data folder]")] = None,
) -> None:
    """Get the CC0 character data from its makers, checked by checksum."""
    from flowact.studio.fetch import default_folder, download, unpack

    target = into or default_folder()
    folder = unpack(archive, target) if archive else download(target)
    typer.echo(f"character data in {folder}")
