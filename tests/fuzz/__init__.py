"""Random damage to files and odd calls: every error must be a message for the user.

The test suite tries a few hundred; the whole is

    OMP_NUM_THREADS=1 python -m tests.fuzz runs --count 3000
    OMP_NUM_THREADS=1 python -m tests.fuzz data --count 3000
    OMP_NUM_THREADS=1 python -m tests.fuzz calls --count 3000
"""
