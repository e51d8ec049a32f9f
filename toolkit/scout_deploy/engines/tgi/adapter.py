"""The adapter of Hugging Face Text Generation Inference. This folder is all that the toolkit knows of TGI."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from scout_deploy.containers.spec import HealthCheck
from scout_deploy.diagnosis.signature import Signature
from scout_deploy.engines.adapter import StartPhase
from scout_deploy.engines.container_engine import EngineContainer, EngineRequest
from scout_deploy.engines.tgi import phases
from scout_deploy.engines.tgi.custom_code import code_problems
from scout_deploy.engines.tgi.environment import PORT, STOP_TIMEOUT_S, environment, environment_problems
from scout_deploy.engines.tgi.failures import tgi_signatures
from scout_deploy.engines.tgi.images import image_of, variant_of, version_problem
from scout_deploy.engines.tgi.judgement import Finding, general_remarks, judge
from scout_deploy.engines.tgi.launcher_rules import broken_launcher_rules
from scout_deploy.engines.tgi.memory import memory_of
from scout_deploy.engines.tgi.nearest import Shipped, nearest
from scout_deploy.errors import ProfileError
from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.gpu_kind import PlanGpu
from scout_deploy.fit.shape import ModelShape

# NCCL takes shared memory between the shards; TGI's documentation gives it 1 GB ("A note on Shared Memory").
_SHM_BYTES_A_SHARD = 1_000_000_000
_GB = 1_000_000_000
# http.client reads no proxy variables. `/health` generates a token where the model was idle, hence the long timeout.
_HEALTH_TIMEOUT_S = 30
_HEALTH = (
    "import http.client as c,sys;"
    f"k=c.HTTPConnection('127.0.0.1',{PORT},timeout={_HEALTH_TIMEOUT_S - 5});"
    "k.request('GET','/health');sys.exit(k.getresponse().status!=200)"
)


class TgiAdapter:
    """TGI in a container.

    Args:
        shipped: Returns the profiles that may be named in place of one that is refused.
    """

    kind = "tgi"

    def __init__(self, shipped: Callable[[], Sequence[Shipped]] = tuple) -> None:
        self._shipped = shipped

    def container(self, request: EngineRequest) -> EngineContainer:
        """See `ContainerEngine.container`."""
        profile, variant = request.profile, variant_of(request.accelerator)
        findings = judge(request)
        if problems := _problems(request, findings):
            raise ProfileError(
                "TGI would not do what the profile asks for:\n" + "\n".join(problems), next_step=self._advice(request)
            )
        shm_gb = profile.engine.shm_size_gb
        return EngineContainer(
            image=image_of(profile.engine, request.accelerator),
            environment=environment(request),
            port=PORT,
            shm_size_bytes=int(shm_gb * _GB) if shm_gb is not None else _SHM_BYTES_A_SHARD * request.shards,
            stop_timeout_s=STOP_TIMEOUT_S,
            health=HealthCheck(
                argv=("python3", "-c", _HEALTH),
                timeout_s=float(_HEALTH_TIMEOUT_S),
                start_period_s=profile.startup.timeout_s,
            ),
            # The launcher's sockets lie in /tmp, the caches of compiled kernels in root's home, and the entrypoint runs
            # ldconfig: the image needs its root user and a root that can be written.
            user=None,
            read_only=False,
            devices=variant.devices,
            groups=variant.groups,
            cap_add=variant.cap_add,
            security_options=variant.security_options,
            ulimits=dict(variant.ulimits),
            remarks=(*map(str, findings), *general_remarks(request)),
        )

    def memory(self, request: EngineRequest, shape: ModelShape, gpu: PlanGpu) -> EngineMemory:
        """See `PlannedEngine.memory`."""
        return memory_of(request, shape, gpu)

    def read_phase(self, line: str) -> StartPhase | None:
        """See `ContainerEngine.read_phase`."""
        return phases.read_phase(line)

    def kv_tokens(self, lines: Iterable[str]) -> int | None:
        """See `ContainerEngine.kv_tokens`."""
        return phases.read_kv_tokens(lines)

    def signatures(self) -> Sequence[Signature]:
        """See `ContainerEngine.signatures`."""
        return tgi_signatures()

    def _advice(self, request: EngineRequest) -> str | None:
        working = [
            one for one in self._shipped() if not _problems(one_request := _for(one, request), judge(one_request))
        ]
        found = nearest(request.profile, request.facts, working)
        return None if found is None else f"the nearest shipped profile that TGI takes as it is: {found.name}"


def _for(shipped: Shipped, request: EngineRequest) -> EngineRequest:
    return replace(
        request, profile=shipped.profile, facts=shipped.facts, shards=shipped.profile.hardware.gpu_count or 1
    )


def _problems(request: EngineRequest, findings: Sequence[Finding]) -> list[str]:
    engine = request.profile.engine
    version = version_problem(engine)
    return [
        *([version] if version is not None else []),
        *broken_launcher_rules(request),
        *code_problems(request),
        *(str(finding) for finding in findings if finding.is_error),
        *environment_problems(engine.environment),
    ]
