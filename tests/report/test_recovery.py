"""The table of scores against a known truth."""

from cryomix.report.recovery import ScoreRow, describe_score, list_scores


def test_scores_are_explained():
    assert "50 nearest" in describe_score("t_knn_R")
    assert "class" in describe_score("c_knn_accuracy")
    assert describe_score("unheard_of") == ""
    assert describe_score("limit_t_knn_R").startswith("limit: correlation")


def test_spreads_stand_beside_their_scores_and_counts_have_no_decimals():
    scores = {
        "t_knn_R": 1.0, "limit_particles": 2000.0, "limit_t_cos": 0.9, "limit_t_cos_error": 0.01,
        "fsc_auc_image": 0.42, "fsc_auc_image_std": 0.005, "error_in_std": 1.2, "lone_std": 3.5,
    }  # fmt: skip
    rows = list_scores(scores)
    assert all(isinstance(row, ScoreRow) for row in rows)
    assert [(row.name, row.value) for row in rows] == [
        ("t_knn_R", "1.0000"), ("limit_particles", "2000"), ("limit_t_cos", "0.9000 ± 0.0100"),
        ("fsc_auc_image", "0.4200 ± 0.0050"), ("error_in_std", "1.2000"), ("lone_std", "3.5000"),
    ]  # fmt: skip
