"""The curves of a soak."""

from __future__ import annotations

from collections.abc import Sequence

from .samples import Sample

FRAME = 'fill="none" stroke="#ccc"'
WIDTH, HEIGHT, LEFT, TOP, GAP = 900, 110, 70, 20, 40


def draw(samples: Sequence[Sample], faults: Sequence[tuple[float, str]]) -> str:
    """An SVG with one curve below the other, and the faults as vertical lines."""
    end = samples[-1].at
    curves = {
        "memory, MB": [each.memory for each in samples],
        "of it in caches or waiting, MB": [each.held for each in samples],
        "descriptors": [float(each.descriptors) for each in samples],
        "threads": [float(each.threads) for each in samples],
        "clients": [float(each.clients) for each in samples],
    }
    height = TOP + len(curves) * (HEIGHT + GAP)
    box = f'viewBox="0 0 {WIDTH + LEFT + 20} {height}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for at, name in faults:
        x = LEFT + WIDTH * at / end
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - GAP}" stroke="#e5b8a8">'
            f"<title>{name}</title></line>"
        )
    for number, (name, values) in enumerate(curves.items()):
        top = TOP + number * (HEIGHT + GAP)
        most = max(*values, 1) * 1.1
        points = " ".join(
            f"{LEFT + WIDTH * each.at / end:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for each, value in zip(samples, values, strict=True)
        )
        parts += [
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" {FRAME}/>',
            f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.0f}</text>',
            f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>',
            f'<text x="{LEFT + 6}" y="{top + 14}">{name}</text>',
            f'<polyline points="{points}" fill="none" stroke="#2563a8" stroke-width="1.5"/>',
        ]
    parts.append(
        f'<text x="{LEFT}" y="{height - GAP + 16}">0</text><text x="{LEFT + WIDTH}"'
        f' y="{height - GAP + 16}" text-anchor="end">{end / 60:.1f} min</text></svg>'
    )
    return "\n".join(parts) + "\n"
