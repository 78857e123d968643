"""Does an API give the same answers as before?

``capture`` writes down what it answers, ``compare`` tells two captures apart. ``write`` makes requests that change
something, of a copy of the app, and writes down the answers; ``compare-writes`` tells two of these apart.
"""
