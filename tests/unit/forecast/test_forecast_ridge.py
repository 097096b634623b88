import numpy as np

from forecast.ridge import PENALTIES, day_sums, fit_ridge


def rows(days: int = 30, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    day = np.repeat(np.arange(days), 50)
    features = random.normal(size=(day.size, 3)) * [1.0, 10.0, 0.1]
    return day, features, features @ [2.0, -0.3, 5.0] + noise * random.normal(size=day.size)


def test_coefficients_are_found_whatever_their_scale() -> None:
    found = fit_ridge(day_sums(*rows(), days=30), 30)
    np.testing.assert_allclose(found, [2.0, -0.3, 5.0], rtol=0.02)


def test_agrees_with_the_textbook_formula() -> None:
    day, x, y = rows(14)
    scaled = x / np.sqrt((x**2).mean(axis=0))
    direct = np.linalg.solve(scaled.T @ scaled / y.size + PENALTIES[0] * np.eye(3), scaled.T @ y / y.size)
    np.testing.assert_allclose(fit_ridge(day_sums(day, x, y, 14), 14), direct / np.sqrt((x**2).mean(axis=0)))


def test_days_from_the_limit_on_are_not_seen() -> None:
    day, x, y = rows()
    changed = np.where(day >= 20, 1e6, y)
    assert fit_ridge(day_sums(day, x, y, 30), 20).tolist() == fit_ridge(day_sums(day, x, changed, 30), 20).tolist()


def test_noise_gets_next_to_nothing() -> None:
    day, x, _ = rows()
    noise = np.random.default_rng(4).normal(size=day.size)
    assert np.abs(fit_ridge(day_sums(day, x, noise, 30), 30) * [1.0, 10.0, 0.1]).max() < 0.05


def test_nothing_to_learn_from_gives_zeros() -> None:
    day, x, y = rows()
    assert [[0.0] * 3] * 2 == [fit_ridge(day_sums(day[:0], x[:0], y[:0], 30), until).tolist() for until in (0, 30)]
