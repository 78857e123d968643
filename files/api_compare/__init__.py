"""Does an API give the same answers as before?

``capture`` writes down what it answers, ``compare`` tells two captures apart.
"""
