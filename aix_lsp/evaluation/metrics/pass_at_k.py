"""The chance that one of k answers passes its tests."""

from __future__ import annotations

import math


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The unbiased estimate of pass@k from `samples` answers to one problem of which `correct` passed; 0 to 1.

    Chen et al. 2021, Evaluating Large Language Models Trained on Code, section 2.1, equation 1:
    1 - C(n - c, k) / C(n, k), the share of draws of k different answers that hold a passing one. Written as
    1 - prod(1 - k / i) for i from n - c + 1 to n, as there (figure 3), with the product taken over logarithms: no
    binomial overflows, and small chances keep their digits. 1 - (1 - c / n) ** k would be biased (appendix A).

    Raises ValueError unless 1 <= k <= samples and 0 <= correct <= samples: fewer answers than k say nothing about it.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} answers, there are {samples}")
    if not 0 <= correct <= samples:
        raise ValueError(f"{correct} of {samples} answers cannot be correct")
    if not correct:
        return 0.0  # below it would be the negative one
    if samples - correct < k:
        return 1.0
    return -math.expm1(math.fsum(math.log1p(-k / i) for i in range(samples - correct + 1, samples + 1)))
