"""Prints p-values as SciPy computes them: see scripts/check-compare."""
import scipy
from scipy import stats

X = [20.1, 20.4, 19.8, 20.9, 21.3, 20.2, 19.9, 20.6]
Y = [20.8, 21.1, 20.3, 21.9, 20.7, 21.4, 20.45, 21.6]
NINE = [20.3, 20.5, 20.7, 20.95, 21.05, 21.2, 21.45, 19.85, 22.1]
EIGHT = [0.7, 0.65, 0.5, 1.0, -0.6, 1.2, 0.55, 0.95]
TWELVE = [0.31, -0.12, 0.54, 0.07, -0.41, 0.22, 0.83, 0.19, -0.05, 0.66, 0.45, -0.28]
FIRST = [(i * 7919) % 1009 / 1009 for i in range(1, 61)]
SECOND = [(i * 104729) % 1013 / 1013 + 0.11 for i in range(1, 71)]
DIFFERENCES = [b - a for a, b in zip(FIRST, SECOND)]
ALL = stats.PermutationMethod(n_resamples=10**7)


def show(what, result):
    print(f"{what:45} {float(result.pvalue)!r}")


def main():
    print("SciPy", scipy.__version__)
    show("mannwhitneyu exact, 8 and 8", stats.mannwhitneyu(X, Y, method="exact"))
    show("mannwhitneyu exact, 3 and 9", stats.mannwhitneyu(X[:3], NINE, method="exact"))
    above = [value + 0.05 for value in SECOND[:45]]
    show("mannwhitneyu exact, 40 and 45", stats.mannwhitneyu(FIRST[:40], above, method="exact"))
    show("mannwhitneyu asymptotic, 60 and 70", stats.mannwhitneyu(FIRST, SECOND, method="asymptotic"))
    tied = stats.mannwhitneyu([1, 2, 2, 3, 5], [2, 3, 4, 5, 5, 6, 7], method=ALL)
    show("mannwhitneyu all permutations, with ties", tied)
    show("wilcoxon exact, 8", stats.wilcoxon(EIGHT, method="exact"))
    show("wilcoxon exact, 12", stats.wilcoxon(TWELVE, method="exact"))
    show("wilcoxon exact, 50", stats.wilcoxon(DIFFERENCES[:50], method="exact"))
    zeros = stats.wilcoxon([0, 0, 1, 2, 3, -1.5, 4, 5], method="exact", zero_method="wilcox")
    show("wilcoxon exact, with zeros", zeros)
    show("wilcoxon all signs, with ties", stats.wilcoxon([1, 1, -2, 3, 3, -1, 4, 5], method=ALL))
    show("wilcoxon asymptotic, 60", stats.wilcoxon(DIFFERENCES, method="asymptotic", correction=True))
    show("ttest_1samp, 8", stats.ttest_1samp(EIGHT, 0))
    show("ttest_1samp, 12", stats.ttest_1samp(TWELVE, 0))
    show("ttest_ind, 8 and 8", stats.ttest_ind(X, Y, equal_var=False))
    show("ttest_ind, 3 and 8", stats.ttest_ind(X[:3], Y, equal_var=False))
    ranks = {n: max(k for k in range(n) if k == 0 or stats.binom.cdf(k - 1, n, 0.5) <= 0.025) for n in (6, 9, 10, 20, 100, 1000)}
    print("ranks of the median's interval", ranks)


if __name__ == "__main__":
    main()
