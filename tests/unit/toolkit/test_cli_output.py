import pytest

from scout_deploy.cli.output import Output


def test_what_looks_like_markup_or_an_emoji_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Output().line("no such image: Not/Valid:::x: [b]bold[/b] :smile:")

    assert capsys.readouterr().out == "no such image: Not/Valid:::x: [b]bold[/b] :smile:\n"
