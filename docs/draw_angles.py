"""Draw the picture of docs/motion.md: python docs/draw_angles.py."""

import math
from collections.abc import Sequence
from pathlib import Path

Place = tuple[float, float]

BONE, ANGLE, AXIS, INK = "#1673c8", "#d96f00", "#9aa3ad", "#1d2329"
STYLE = 'font-family="Helvetica, Arial, sans-serif"'


class Drawing:
    """An SVG picture."""

    def __init__(self, width: int, height: int) -> None:
        self.marks = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" {STYLE}><rect width="{width}" height="{height}" fill="#fff"/>'
        ]

    def line(self, places: Sequence[Place], color: str, width: float, dash: str = "") -> None:
        """Draw lines from place to place."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.marks.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width:g}" '
            f'stroke-linecap="round"{dashes}/>'
        )

    def dot(self, place: Place, color: str = BONE) -> None:
        """Draw a joint."""
        self.marks.append(f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="5" fill="{color}"/>')

    def head(self, place: Place) -> None:
        """Draw a head."""
        self.marks.append(
            f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="21" fill="none" stroke="{BONE}" '
            'stroke-width="5"/>'
        )

    def text(self, place: Place, text: str, size: int = 13, color: str = INK, anchor: str = "start") -> None:
        """Write."""
        self.marks.append(
            f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size}" fill="{color}" '
            f'text-anchor="{anchor}">{text}</text>'
        )

    def arc(self, center: Place, radius: float, start: float, end: float) -> None:
        """Draw an angle, between two inclinations in degrees."""
        steps = [start + (end - start) * step / 24 for step in range(25)]
        self.line([along(center, turned, radius) for turned in steps], ANGLE, 2.5)


def along(start: Place, degrees: float, length: float) -> Place:
    """Go so far from a place, turned forward (right) from straight down."""
    turned = math.radians(degrees)
    return start[0] + length * math.sin(turned), start[1] + length * math.cos(turned)


def side(drawing: Drawing) -> None:
    """Draw somebody from the side, facing right."""
    lean, hip, knee, ankle, shoulder, elbow = 18, 70, 62, 8, 50, 55
    hips = (170.0, 250.0)
    neck = along(hips, 180 - lean, 130)
    thigh, arm = hip - lean, shoulder - lean
    knees = along(hips, thigh, 105)
    shank = thigh - knee
    ankles = along(knees, shank, 100)
    foot = shank + ankle
    heel = along(ankles, shank + ankle - 90 + 55, 22)
    toes = along(heel, foot + 90, 66)
    elbows = along(neck, arm, 75)
    wrists = along(elbows, arm + elbow, 66)
    for places in ((neck, hips, knees, ankles), (ankles, heel, toes, ankles), (neck, elbows, wrists)):
        drawing.line(places, BONE, 5)
    head = along(neck, 180 - lean, 34)
    drawing.head((head[0] + 6, head[1]))
    drawing.line([(head[0] + 27, head[1] - 2), (head[0] + 35, head[1] + 3)], BONE, 5)
    # What angles are measured against: the vertical, and segments that go on.
    drawing.line([hips, (hips[0], hips[1] - 140)], AXIS, 1.5, "5 5")
    drawing.line([hips, along(hips, -lean, 105)], AXIS, 1.5, "5 5")
    drawing.line([neck, along(neck, -lean, 80)], AXIS, 1.5, "5 5")
    drawing.line([knees, along(knees, thigh, 85)], AXIS, 1.5, "5 5")
    drawing.line([elbows, along(elbows, arm, 62)], AXIS, 1.5, "5 5")
    drawing.line([heel, along(heel, shank + 90, 80)], AXIS, 1.5, "5 5")
    drawing.arc(hips, 112, 180, 180 - lean)
    drawing.arc(hips, 48, -lean, thigh)
    drawing.arc(knees, 46, thigh, shank)
    drawing.arc(heel, 58, shank + 90, foot + 90)
    drawing.arc(neck, 46, -lean, arm)
    drawing.arc(elbows, 34, arm, arm + elbow)
    for place in (neck, hips, knees, ankles, heel, toes, elbows, wrists):
        drawing.dot(place)
    for place, text in (
        ((hips[0] - 6, hips[1] - 116), "trunk"),
        ((hips[0] + 8, hips[1] + 68), "hip"),
        ((knees[0] + 24, knees[1] + 66), "knee"),
        ((heel[0] + 76, heel[1] - 6), "ankle"),
        ((neck[0] - 22, neck[1] + 62), "shoulder"),
        ((elbows[0] + 36, elbows[1] + 26), "elbow"),
    ):
        anchor = "end" if text in ("trunk", "shoulder") else "start"
        drawing.text(place, text, 14, ANGLE, anchor)
    drawing.text((20, 28), "From the side (here facing right): + is forward, flexion", 14)


def front(drawing: Drawing) -> None:
    """Draw somebody from the front."""
    hips, neck = (560.0, 250.0), (560.0, 120.0)
    drawing.line([neck, hips], BONE, 5)
    drawing.line([(neck[0] - 42, neck[1]), (neck[0] + 42, neck[1])], BONE, 5)
    drawing.line([(hips[0] - 26, hips[1]), (hips[0] + 26, hips[1])], BONE, 5)
    drawing.head((neck[0], neck[1] - 42))
    for sign, shoulder, elbow, hip, knee in ((1, 62, 40, 26, 0), (-1, 12, 0, 4, 14)):
        top, bottom = (neck[0] + 42 * sign, neck[1]), (hips[0] + 26 * sign, hips[1])

        def go(start: Place, degrees: float, length: float, sign: int = sign) -> Place:
            return along(start, sign * degrees, length)

        elbows, knees = go(top, shoulder, 75), go(bottom, hip, 105)
        wrists, ankles = go(elbows, shoulder + elbow, 66), go(knees, hip - knee, 100)
        drawing.line([top, elbows, wrists], BONE, 5)
        drawing.line([bottom, knees, ankles], BONE, 5)
        drawing.line([top, (top[0], top[1] + 75)], AXIS, 1.5, "5 5")
        drawing.line([bottom, (bottom[0], bottom[1] + 100)], AXIS, 1.5, "5 5")
        if sign > 0:
            drawing.line([elbows, go(elbows, shoulder, 60)], AXIS, 1.5, "5 5")
            drawing.arc(elbows, 34, shoulder, shoulder + elbow)
            drawing.text((elbows[0] + 38, elbows[1] + 12), "elbow", 14, ANGLE)
            drawing.text((top[0] + 14, top[1] + 62), "shoulder", 14, ANGLE)
            drawing.text((bottom[0] + 8, bottom[1] + 78), "hip", 14, ANGLE)
        else:
            drawing.line([knees, go(knees, hip, 80)], AXIS, 1.5, "5 5")
            drawing.arc(knees, -0.0 + 50, sign * hip, sign * (hip - knee))
            drawing.text((knees[0] - 14, knees[1] + 62), "knee", 14, ANGLE, "end")
        drawing.arc(top, 46, 0, sign * shoulder)
        drawing.arc(bottom, 60, 0, sign * hip)
        for place in (top, bottom, elbows, wrists, knees, ankles):
            drawing.dot(place)
    drawing.text((415, 28), "From the front or the back: + is away from the middle", 14)
    drawing.text((hips[0] + 60, hips[1] - 8), "left side of the person", 11, AXIS)


def picture() -> str:
    """Return the picture as SVG."""
    drawing = Drawing(800, 475)
    side(drawing)
    front(drawing)
    return "\n".join([*drawing.marks, "</svg>"]) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "angles.svg").write_text(picture())
