//! CPU affinity, open files, and what `/proc` tells of a process.

use std::fs;

/// Binds this process, and the threads it will start, to one CPU. `false` if that cannot be done.
pub(crate) fn pin(cpu: usize) -> bool {
    #[cfg(target_os = "linux")]
    {
        if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) {
            let mut set = rustix::thread::CpuSet::new();
            set.set(cpu);
            return rustix::thread::sched_setaffinity(None, &set).is_ok();
        }
    }
    let _ = cpu;
    false
}

/// Lets this process open as many files as it may; returns how many.
pub(crate) fn raise_open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// CPU time of all threads of a process so far, in seconds, kernel included.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("bench:quick needs Linux's /proc");
    let nanoseconds: u64 = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum();
    nanoseconds as f64 / 1e9
}

/// Resident memory of a process, in KB.
pub(crate) fn resident_kb(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
