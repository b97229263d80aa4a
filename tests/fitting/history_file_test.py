import keras
import pytest

from keras_capi.fitting.history_file import drop_repeated_rows


@pytest.mark.parametrize(
    ("before", "epoch", "is_new", "after"),
    [
        # What comes again, and nothing else.
        ("012", 3, False, "012"),
        ("012", 2, False, "01"),
        ("012", 0, False, ""),
        # A file of two trainings.
        ("01201", 1, False, "0120"),
        ("01201", 0, False, "012"),
        ("01200", 0, False, "0120"),
        # A new training begins, or one that ended before its checkpoint.
        ("012", 0, True, "012"),
        ("0", 0, True, ""),
        ("0120", 0, True, "012"),
        ("", 0, True, ""),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_drops_what_comes_again(
    tmp_path, before, epoch, is_new, after, separator
):
    def text(epochs):
        return "".join(f"{epoch}{separator}0.5\n" for epoch in epochs)

    header = f"epoch{separator}loss\n"
    path = tmp_path / "history.csv"
    path.write_text(header + text(before))
    logger = keras.callbacks.CSVLogger(str(path), separator, append=True)
    drop_repeated_rows([logger], epoch, is_new)
    assert path.read_text() == header + text(after)


def test_drops_half_a_row(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n0,0.5\n1,0.")
    logger = keras.callbacks.CSVLogger(str(path), append=True)
    drop_repeated_rows([logger], 1, is_new=False)
    assert path.read_text() == "epoch,loss\n0,0.5\n"


def test_leaves_other_files_alone(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n0,0.5\n")
    other = keras.callbacks.CSVLogger(str(path))
    missing = keras.callbacks.CSVLogger(str(tmp_path / "no.csv"), append=True)
    drop_repeated_rows([other, missing, keras.callbacks.History()], 0, False)
    assert path.read_text() == "epoch,loss\n0,0.5\n"
