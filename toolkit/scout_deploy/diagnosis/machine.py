"""What a machine lacks: memory, shared memory, disk, a driver; and GPUs that do not hear each other."""

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings, ProfileEdit
from scout_deploy.diagnosis.docker import explain_driver_too_old
from scout_deploy.diagnosis.evidence import either, in_log, with_signal
from scout_deploy.diagnosis.signature import Evidence, Signature

_ENGINE = 7
_SIGILL = 4
_SIGBUS = 7
_SIGKILL = 9
_FULL = "the shared memory of the engine's container (/dev/shm), through which its shards talk, ran out"
_BUS_ERROR = (
    "the engine ended with a bus error (signal 7), as it does when the shared memory of its container (/dev/shm) is "
    "too small for its shards"
)


def host_memory_signature() -> Signature:
    """Return the one that Docker itself knows."""
    return Signature(name="out-of-host-memory", matcher=_oom_killed, explain=_out_of_host_memory)


def machine_signatures() -> tuple[Signature, ...]:
    """Return the failures that are the machine's."""
    return (
        Signature(
            name="driver-too-old",
            matcher=in_log(
                "CUDA driver version is insufficient for CUDA runtime version"
                "|The NVIDIA driver on your system is too old"
            ),
            explain=explain_driver_too_old,
        ),
        Signature(
            name="small-shared-memory",
            matcher=either(
                in_log(
                    r"failed to extend /dev/shm/|posix_fallocate failed ?: No space left on device"
                    r"|/dev/shm\S*.*No space left on device"
                    r"|SIGBUS received|Fatal Python error: Bus error"
                ),
                with_signal(_SIGBUS),
            ),
            explain=explain_small_shared_memory,
        ),
        Signature(
            name="disk-full", matcher=in_log("(?i)no space left on device|disk quota exceeded"), explain=_disk_full
        ),
        Signature(
            name="missing-cpu-instruction",
            matcher=with_signal(_SIGILL),
            explain=explain_missing_instruction,
        ),
        Signature(
            name="gpus-do-not-talk",
            matcher=in_log(
                "Watchdog caught collective operation timeout|Some NCCL operations have failed or timed out"
            ),
            explain=_gpus_do_not_talk,
        ),
        Signature(
            name="killed",
            matcher=with_signal(_SIGKILL),
            explain=explain_killed,
        ),
    )


def _oom_killed(death: Death) -> Evidence | None:
    return (f"Docker: OOMKilled, exit status {death.exit_code}",) if death.oom_killed else None


def _out_of_host_memory(_: Death, _settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="out-of-host-memory",
        cause="the kernel killed the engine because the machine's own memory (not the GPUs') ran out",
        evidence=evidence,
        next_step="free memory on the Docker host, or give it more memory or swap: weights pass through it on their "
        "way to the GPUs",
        exit_code=_ENGINE,
    )


def explain_small_shared_memory(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    """Say that /dev/shm is too small."""
    shards = max(1, settings.gpu_count)
    now_gb = settings.shm_size_gb or float(shards)
    wanted_gb = max(2 * now_gb, float(shards))
    says_shm = any("shm" in line or "posix_fallocate" in line for line in evidence)
    return Diagnosis(
        name="small-shared-memory",
        cause=_FULL if says_shm else _BUS_ERROR,
        evidence=evidence,
        edits=(
            ProfileEdit(key="engine/shm_size_gb", value=f"{wanted_gb:g}", why=f"twice the {now_gb:g} GB that it had"),
        ),
        next_step=None if says_shm else "if that does not help, a weights file may be cut short: download it again",
        exit_code=_ENGINE,
    )


def _disk_full(_: Death, _settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="disk-full",
        cause="the disk that the engine writes to is full",
        evidence=evidence,
        next_step="free space on the Docker host, on the disk of the weights directory and on Docker's own (df -h)",
        exit_code=_ENGINE,
    )


def explain_missing_instruction(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    """Say that the CPU lacks what the image was built for."""
    return Diagnosis(
        name="missing-cpu-instruction",
        cause=f"{settings.image} used a CPU instruction that this machine does not have (signal 4, SIGILL)",
        evidence=evidence,
        next_step="run it on a CPU with AVX2 (grep -m1 -o avx2 /proc/cpuinfo); in a virtual machine, pass the host's "
        "CPU model through",
        exit_code=_ENGINE,
    )


def _gpus_do_not_talk(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="gpus-do-not-talk",
        cause=f"the {settings.gpu_count} GPUs of the engine waited for each other until NCCL's time was up",
        evidence=evidence,
        edits=(
            ProfileEdit(
                key="engine/environment/NCCL_P2P_DISABLE",
                value='"1"',
                why="GPUs talk through memory, slower, where their direct links do not work",
            ),
            ProfileEdit(
                key="engine/environment/NCCL_DEBUG",
                value="INFO",
                why="the log then says which link fails",
            ),
        ),
        exit_code=_ENGINE,
    )


def explain_killed(_: Death, _settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    """Say that somebody, or the kernel, killed it."""
    return Diagnosis(
        name="killed",
        cause="a process of the engine was killed from outside (signal 9, SIGKILL); Docker saw no memory limit "
        "reached in its container",
        evidence=evidence,
        next_step="look on the Docker host whether the kernel did it for want of memory: journalctl -k | grep -i "
        "'out of memory'; otherwise somebody ran docker kill or kill -9",
        exit_code=_ENGINE,
    )
