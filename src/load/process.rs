//! What a server's processes take, as Linux tells it; for a server on this machine.

use std::collections::BTreeMap;
use std::path::Path;

/// CPU time and memory of some processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds of living threads, by name up to its number (`lane-3` counts for `lane`).
    pub cpu_s: BTreeMap<String, f64>,
    /// Resident memory, bytes.
    pub resident: u64,
}

impl Usage {
    /// CPU seconds in all.
    pub fn cpu(&self) -> f64 {
        self.cpu_s.values().sum()
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let used = |(name, now): (&String, &f64)| {
            let then = before.cpu_s.get(name).copied().unwrap_or_default();
            (name.clone(), (now - then).max(0.0))
        };
        Self { cpu_s: self.cpu_s.iter().map(used).collect(), resident: self.resident }
    }
}

/// Of these processes and all that they started.
///
/// # Errors
/// One of those named is not there, or this is not Linux.
pub fn usage(pids: &[u32]) -> std::io::Result<Usage> {
    let mut usage = Usage::default();
    for pid in pids {
        add(*pid, &mut usage)
            .map_err(|error| std::io::Error::new(error.kind(), format!("no process {pid}: {error}")))?;
    }
    for pid in descendants(pids)? {
        // One may end while it is looked at.
        let _ = add(pid, &mut usage);
    }
    Ok(usage)
}

/// Adds one process.
fn add(pid: u32, usage: &mut Usage) -> std::io::Result<()> {
    let place = Path::new("/proc").join(pid.to_string());
    usage.resident += resident(&std::fs::read_to_string(place.join("status"))?);
    for task in std::fs::read_dir(place.join("task"))?.flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        *usage.cpu_s.entry(group(&read("comm"))).or_default() += cpu_s(&read("schedstat"));
    }
    Ok(())
}

/// What these processes started, and what that started.
fn descendants(pids: &[u32]) -> std::io::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?.flatten();
    let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of = |pid: u32| Some((pid, parent(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
    let families: Vec<(u32, u32)> = all.filter_map(of).collect();
    let (mut open, mut found) = (pids.to_vec(), Vec::new());
    while let Some(parent) = open.pop() {
        let children = families.iter().filter(|(pid, of)| *of == parent && !pids.contains(pid)).map(|(pid, _)| *pid);
        let before = found.len();
        found.extend(children);
        open.extend_from_slice(&found[before..]);
    }
    Ok(found)
}

/// The fourth field of `stat`; the second is a name in brackets that may hold anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A thread's name without its number.
fn group(name: &str) -> String {
    name.trim().trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', ':', '#', '_']).to_owned()
}

/// The first field of `schedstat`: time on a CPU, ns.
fn cpu_s(schedstat: &str) -> f64 {
    schedstat.split(' ').next().and_then(|ns| ns.trim().parse::<u64>().ok()).unwrap_or_default() as f64 / 1e9
}

/// `VmRSS` of `status`, which is in KiB.
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        assert_eq!(cpu_s("1500000000 3054549 3\n"), 1.5);
        assert_eq!(resident("Name:\tsegue\nVmPeak:\t  9 kB\nVmRSS:\t   64 kB\n"), 65_536);
        assert_eq!((resident(""), cpu_s("")), (0, 0.0));
        assert_eq!((parent("7 (a) b) S 3 7 0"), parent("7 S 3")), (Some(3), None));
        for (name, group_name) in [("lane-3\n", "lane"), ("actix-rt|system:0", "actix-rt|system"), ("python", "python")]
        {
            assert_eq!(group(name), group_name);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_time_and_memory() {
        let before = usage(&[std::process::id()]).unwrap();
        assert!(before.resident > 1 << 20);
        // Looking takes time, too.
        while usage(&[std::process::id()]).unwrap().since(&before).cpu() <= 0.0 {}
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(descendants(&[std::process::id()]).unwrap().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let error = usage(&[u32::MAX]).unwrap_err().to_string();
        assert!(error.contains("no process 4294967295"), "{error}");
    }
}
