"""Charts as Vega-Lite describes them. Colours are named by what they mean; the page fills in those of its theme."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

FOR, AGAINST, MARK, INK, QUIET = (
    "\ue000for",
    "\ue000against",
    "\ue000mark",
    "\ue000ink",
    "\ue000quiet",
)  # filled in by page.js; nobody's words begin like that
FEW = {"tickCount": 6}

INVISIBLE = "\u200b"
Rows = Sequence[Mapping[str, Any]]


def apart(rows: Rows, name: str = "name") -> list[dict[str, Any]]:
    """The same rows; those of one name are told apart by letters without width, since a name is a place in a chart."""
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for row in rows:
        found.append({**row, name: str(row[name]) + INVISIBLE * seen[row[name]]})
        seen[row[name]] += 1
    return found


def bars(
    rows: Rows,
    *,
    name: str = "name",
    value: str = "value",
    title: str = "",
    spans: bool = False,
    sided: bool = False,
) -> dict[str, Any]:
    """Lying bars in the order given. spans: rows have "low" and "high". sided: to the right for, to the left against."""
    side = {"field": name, "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    colour = (
        {"condition": {"test": f"datum['{value}'] < 0", "value": AGAINST}, "value": FOR}
        if sided
        else {"value": MARK}
    )
    bar = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.7}},
        "encoding": {
            "y": side,
            "x": {"field": value, "type": "quantitative", "title": title, "axis": FEW},
            "color": colour,
            "tooltip": [{"field": name, "title": " "}, {"field": value, "format": ".4g"}],
        },
    }
    layers = [bar, *([_span(side)] if spans else [])]
    return {
        "data": {"values": apart(rows, name)},
        "width": "container",
        "height": 22 * max(len(rows), 1),
        "layer": layers,
    }


def _span(side: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mark": {"type": "rule", "strokeWidth": 1.5, "color": INK},
        "encoding": {"y": side, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
    }


def waterfall(rows: Rows, title: str) -> dict[str, Any]:
    """Bars that begin where the one before ended. rows: name, start, end, kind ("for", "against", "total")."""
    colours = {"domain": ["for", "against", "total"], "range": [FOR, AGAINST, QUIET]}
    return {
        "data": {"values": apart(rows)},
        "width": "container",
        "height": 22 * max(len(rows), 1),
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": {
                "field": "name",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 220},
            },
            "x": {
                "field": "start",
                "type": "quantitative",
                "title": title,
                "scale": {"zero": False},
                "axis": FEW,
            },
            "x2": {"field": "end"},
            "color": {
                "field": "kind",
                "type": "nominal",
                "scale": colours,
                "legend": {"title": None, "orient": "bottom"},
            },
            "tooltip": [{"field": "name", "title": " "}, {"field": "change", "format": ".4g"}],
        },
    }


def lines(
    rows: Rows, *, x: str, y: str, series: str, x_title: str = "", y_title: str = "", ordinal: bool = False
) -> dict[str, Any]:
    """Lines with points, one for each series. ordinal: x are names in order."""
    across: dict[str, Any] = {"field": x, "type": "quantitative", "title": x_title, "axis": FEW}
    if ordinal:
        across |= {"type": "ordinal", "sort": None, "axis": {"labelAngle": -40, "labelLimit": 140}}
    titles = {series: " ", x: x_title or x, y: y_title or y}
    return {
        "data": {"values": list(rows)},
        "width": "container",
        "height": 260,
        "mark": {"type": "line", "point": {"size": 28} if len(rows) < 400 else False, "strokeWidth": 2},
        "encoding": {
            "x": across,
            "y": {"field": y, "type": "quantitative", "title": y_title, "scale": {"zero": False}},
            "color": _series(series),
            "tooltip": [{"field": field, "title": title} for field, title in titles.items()],
        },
    }


def _series(name: str) -> dict[str, Any]:
    return {
        "field": name,
        "type": "nominal",
        "sort": None,
        "legend": {"title": None, "orient": "bottom", "columns": 3, "labelLimit": 260},
    }


def grouped(
    rows: Rows, *, x: str, y: str, series: str, y_title: str, line: float | None = None
) -> dict[str, Any]:
    """Points with intervals ("low", "high"), side by side for each x; a line at what means nothing."""
    across = {
        "field": x,
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelAngle": -30, "labelLimit": 160},
    }
    beside = {"field": series, "type": "nominal", "sort": None}
    up = {"type": "quantitative", "title": y_title}
    base = {"x": across, "xOffset": beside, "color": _series(series)}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {**base, "y": {"field": "low", **up}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60},
            "encoding": {
                **base,
                "y": {"field": y, **up},
                "tooltip": [
                    {"field": x, "title": " "},
                    {"field": series, "title": " "},
                    {"field": y, "format": ".3g"},
                ],
            },
        },
    ]
    if line is not None:
        layers.insert(
            0,
            {
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": QUIET},
                "encoding": {"y": {"datum": line}},
            },
        )
    return {"data": {"values": list(rows)}, "width": "container", "height": 260, "layer": layers}


def matrix(rows: Rows, *, x: str, y: str, value: str) -> dict[str, Any]:
    """Squares coloured from against to for."""
    most = max((abs(row[value]) for row in rows), default=1.0) or 1.0
    colour = {"domain": [-most, 0, most], "range": [AGAINST, "\ue000paper", FOR]}
    axis = {"type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 140}}
    return {
        "data": {"values": list(rows)},
        "width": {"step": 26},
        "height": {"step": 26},
        "mark": {"type": "rect", "stroke": QUIET, "strokeWidth": 0.3},
        "encoding": {
            "x": {"field": x, **axis},
            "y": {"field": y, **axis},
            "color": {
                "field": value,
                "type": "quantitative",
                "scale": colour,
                "legend": {"title": None, "format": ".2g"},
            },
            "tooltip": [{"field": x}, {"field": y}, {"field": value, "format": ".4g"}],
        },
    }


def swarm(rows: Rows, *, name: str, value: str, high: str) -> dict[str, Any]:
    """Points of each column, jittered; coloured by the column's own number from low to high."""
    return {
        "data": {"values": list(rows)},
        "transform": [{"calculate": "random()", "as": "jitter"}],
        "width": "container",
        "height": 34 * max(len({row[name] for row in rows}), 1),
        "mark": {"type": "circle", "size": 16, "opacity": 0.75},
        "encoding": {
            "y": {
                "field": name,
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 220},
                "scale": {"paddingInner": 0.45},
            },
            "yOffset": {"field": "jitter", "type": "quantitative"},
            "x": {"field": value, "type": "quantitative", "title": "value"},
            "color": {
                "field": high,
                "type": "quantitative",
                "scale": {"domain": [0, 1], "range": [AGAINST, FOR]},
                "legend": {
                    "title": "the column's number",
                    "values": [0, 1],
                    "labelExpr": "datum.value ? 'high' : 'low'",
                },
            },
        },
    }


def over_time(steps: Rows, evidence: Rows) -> dict[str, Any]:
    """A series, channel by channel, and the evidence of each step under it."""
    across = {"field": "step", "type": "quantitative", "title": None, "scale": {"nice": False}}
    channels = len({row["channel"] for row in steps})
    colour = {"color": _series("channel")} if channels > 1 else {"color": {"value": INK}}
    return {
        "vconcat": [
            {
                "data": {"values": list(steps)},
                "width": "\ue000width",
                "height": 150,
                "mark": {"type": "line", "strokeWidth": 1.4},
                "encoding": {
                    "x": across,
                    "y": {
                        "field": "value",
                        "type": "quantitative",
                        "title": "input",
                        "scale": {"zero": False},
                    },
                    **colour,
                },
            },
            {
                "data": {"values": list(evidence)},
                "width": "\ue000width",
                "height": 110,
                "mark": {"type": "bar"},
                "encoding": {
                    "x": {**across, "title": "step"},
                    "y": {"field": "evidence", "type": "quantitative", "title": "evidence"},
                    "color": {"condition": {"test": "datum.evidence < 0", "value": AGAINST}, "value": FOR},
                    "tooltip": [{"field": "step"}, {"field": "evidence", "format": ".4g"}],
                },
            },
        ]
    }


def spread(rows: Rows) -> dict[str, Any]:
    """How similarities are spread, as steps: share of the examples for each."""
    return {
        "data": {"values": list(rows)},
        "width": "container",
        "height": 220,
        "mark": {"type": "line", "interpolate": "step", "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "similarity",
                "type": "quantitative",
                "title": "evidence in common",
                "axis": FEW,
                "scale": {"domain": [0, 1]},
            },
            "y": {"field": "share", "type": "quantitative", "title": "share of the examples"},
            "color": _series("model"),
            "tooltip": [
                {"field": "model", "title": " "},
                {"field": "similarity"},
                {"field": "share", "format": ".2f"},
            ],
        },
    }
