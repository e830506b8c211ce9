"""Seeded calls of the public functions with faulty functions and arguments, judged by the truth.

One integer seed makes one call: `truths` holds functions whose value, gradient and Hessian are
known, `calls` hands them over with faults and with arguments of every kind, `judge` compares the
answer with dense eigenvalues of the true Hessian. ``python -m tests.fuzz --help`` runs many.
"""
