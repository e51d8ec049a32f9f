"""`python -m scout_deploy.proxy_image`: what a builder needs that is called by hand (`make proxy-image`)."""

import argparse
import sys

from scout_deploy.errors import DeployError
from scout_deploy.proxy_image.context import DEFAULT_BASE_IMAGE, ProxyImage, build_context


def main(arguments: list[str] | None = None) -> int:
    """Write the context to standard output, or print the builder's options; return the process's exit code."""
    given = _parser().parse_args(arguments)
    if not given.options and sys.stdout.isatty():
        print("error: the context is a tar archive; send it to a builder or a file", file=sys.stderr)
        return 2
    try:
        image = build_context(given.base_image)
    except DeployError as exc:
        print(f"error: {exc.message}\nnext: {exc.next_step}", file=sys.stderr)
        return exc.exit_code
    if given.options:
        print(*_options(image))
    else:
        sys.stdout.buffer.write(image.context_tar)
    return 0


def _options(image: ProxyImage) -> list[str]:
    arguments = [f"--build-arg={name}={value}" for name, value in image.build_arguments.items()]
    return [f"--tag={image.tag}", *arguments]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scout_deploy.proxy_image", description="Write the build context of the proxy's image."
    )
    parser.add_argument("--base-image", default=DEFAULT_BASE_IMAGE, help="what it is built on (default: %(default)s)")
    parser.add_argument("--options", action="store_true", help="print what `docker build` needs beside it instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
