"""The picture of a measurement of equivariance (M30)."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from convnet.analysis import Equivariance
from convnet.reports.style import CYCLE, figure


def draw_equivariance(measured: Mapping[str, Equivariance]) -> Figure:
    """Networks by name: how far their last maps are from moving along, and how much they change in place.

    `to_png` of `convnet.reports.style`, or the figure's own `savefig`, make a file of it.
    """
    with figure(10, 3.8) as picture:
        moving, staying = picture.subplots(1, 2)
        for number, (name, found) in enumerate(measured.items()):
            shifts = [f"{down}, {right}" if down else str(right) for down, right in found.shifts]
            colour = CYCLE[number % len(CYCLE)]
            moving.plot(shifts, found.maps.errors or (), "o-", color=colour, label=name)
            staying.plot(shifts, found.maps.changes, "o-", color=colour, label=name)
        moving.set_title("Last maps: error of equivariance")
        staying.set_title("Last maps: change where they stay")
        for axes in (moving, staying):
            axes.set_xlabel("shift (pixels)")
            axes.set_ylabel("relative difference")
            axes.set_ylim(bottom=0)
            axes.legend()
    return picture
