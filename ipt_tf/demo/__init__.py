"""`ipt demo`: a page in the browser that restores photographs, and `make demo`, the same in the terminal.

The page is written by hand, and served by aiohttp, which `ipt serve` needs anyway. Gradio would bring some fifty
packages, and asks other hosts for fonts and sends them statistics unless it is told not to. This page asks no other
host for anything, and its policy (Content-Security-Policy) forbids it to.

A restoration lasts as long as the request that asked for it: its answer is a stream of the input, of the progress of
its tiles and of the result. Who closes the page or presses Cancel ends the request, and with it the work. Nothing is
kept on the server.
"""
