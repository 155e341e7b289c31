# SPDX-License-Identifier: Apache-2.0
"""A line chart as SVG, for tools/bench: no library, readable on light and dark pages."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 24, 44, 52
COLOURS = ("#2f7d4f", "#b4552d", "#4a63b0", "#7a7a7a")


def nice_step(most):
    """A step of 1, 2 or 5 times a power of ten that cuts [0, most] into at most six."""
    step = 10.0 ** -6
    while True:
        for f in (1, 2, 5):
            if most / (step * f) <= 6:
                return step * f
        step *= 10


def chart(title, x_label, y_label, xs, series):
    """xs: evenly spaced, whatever their values; series: {name: [y for each x]}."""
    most = max(max(ys) for ys in series.values())
    step = nice_step(most)
    top = step * -(-most // step)
    x_at = lambda i: LEFT + (WIDTH - LEFT - RIGHT) * i / max(len(xs) - 1, 1)
    y_at = lambda y: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / top
    out = ["<!-- SPDX-License-Identifier: Apache-2.0 -->",
           f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
           f"<title>{title}: {y_label} against {x_label}</title>",
           '<rect width="100%" height="100%" fill="#fff"/><g font-family="sans-serif" font-size="13" fill="#333">',
           f'<text x="{LEFT}" y="22" font-size="15">{title}, {y_label}</text>']
    for i in range(round(top / step) + 1):
        y = y_at(i * step)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{i * step:g}</text>')
    for i, x in enumerate(xs):
        out.append(f'<text x="{x_at(i):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{x}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{x_label}</text>')
    for k, (name, ys) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        points = " ".join(f"{x_at(i):.1f},{y_at(y):.1f}" for i, y in enumerate(ys))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        out += [f'<circle cx="{x_at(i):.1f}" cy="{y_at(y):.1f}" r="3.5" fill="{colour}"><title>{name}, {xs[i]}: {y:.4g}</title></circle>'
                for i, y in enumerate(ys)]
        out.append(f'<text x="{WIDTH - RIGHT}" y="{TOP - 22 + 17 * k}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join(out) + "</g></svg>\n"
