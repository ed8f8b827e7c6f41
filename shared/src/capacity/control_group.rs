//! What the control group of this process allows (Linux cgroups, version 1 and 2): container engines
//! set their limits of memory and processes there.

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 writes the largest page-aligned number for "no limit".
const UNLIMITED: u64 = 1 << 62;

/// The limits that are set; the lowest of those that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ControlGroup {
    /// Of memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Threads that this process may have: the limit, less the threads of others in the group.
    pub(super) threads: Option<u64>,
}

impl ControlGroup {
    /// Of this process.
    pub(super) fn read() -> Self {
        Self::read_below(Path::new("/"))
    }

    fn read_below(root: &Path) -> Self {
        let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mounts = root.join("sys/fs/cgroup");
        let own_threads = fs::read_dir(root.join("proc/self/task")).map_or(1, Iterator::count);
        let threads_left = |group: &Path| threads_left(group, own_threads as u64);
        let mut memory = Vec::new();
        let mut threads = Vec::new();
        for line in memberships.lines() {
            // ID:CONTROLLERS:PATH; version 2 has the id 0 and no controllers.
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let has = |name: &str| controllers.split(',').any(|controller| controller == name);
            if controllers.is_empty() {
                for mount in [mounts.clone(), mounts.join("unified")] {
                    memory.extend(lowest(&mount, path, |group| number_in(group, "memory.max")));
                    // Above this, the kernel slows the process down without end.
                    memory.extend(lowest(&mount, path, |group| number_in(group, "memory.high")));
                    threads.extend(lowest(&mount, path, threads_left));
                }
            }
            if has("memory") {
                let limit = |group: &Path| number_in(group, "memory.limit_in_bytes");
                memory.extend(lowest(&mounts.join("memory"), path, limit));
            }
            if has("pids") {
                threads.extend(lowest(&mounts.join("pids"), path, threads_left));
            }
        }
        Self { memory: memory.into_iter().min(), threads: threads.into_iter().min() }
    }
}

/// The lowest limit from this group up to the root: each of them applies. A group that is not there
/// is skipped: a container may see the path of its group on the host, and its own group at the root.
fn lowest(mount: &Path, group: &str, limit: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    let group: PathBuf = mount.join(group.trim_start_matches('/'));
    let upwards = group.ancestors().take_while(|path| path.starts_with(mount));
    upwards.filter_map(limit).min()
}

fn threads_left(group: &Path, own: u64) -> Option<u64> {
    let there = number_in(group, "pids.current").unwrap_or_default();
    Some(number_in(group, "pids.max")?.saturating_sub(there.saturating_sub(own)))
}

/// "max", for one, is no number. Neither is a file that cannot be read.
fn number_in(group: &Path, file: &str) -> Option<u64> {
    let number = fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()?;
    (1..UNLIMITED).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits in a tree of these files.
    fn read(files: &[(&str, &str)]) -> ControlGroup {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        ControlGroup::read_below(root.path())
    }

    fn limits(memory: Option<u64>, threads: Option<u64>) -> ControlGroup {
        ControlGroup { memory, threads }
    }

    const OF_V2: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_applies() {
        let nested = read(&[
            OF_V2,
            ("sys/fs/cgroup/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/a/memory.max", "500000000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/pids.max", "64\n"),
            ("sys/fs/cgroup/a/c/memory.max", "1\n"),
        ]);
        assert_eq!(nested, limits(Some(500_000_000), Some(64)));
        let slowed_down = read(&[
            OF_V2,
            ("sys/fs/cgroup/a/b/memory.max", "600000000\n"),
            ("sys/fs/cgroup/a/b/memory.high", "400000000\n"),
        ]);
        assert_eq!(slowed_down, limits(Some(400_000_000), None));
    }

    #[test]
    fn the_threads_of_others_in_the_group_are_not_there_to_take() {
        let own = [("proc/self/task/1/comm", ""), ("proc/self/task/2/comm", "")];
        let group = |files: &[(&str, &str)]| read(&[&[OF_V2][..], &own, files].concat()).threads;
        let pids = |max, current| {
            [("sys/fs/cgroup/a/b/pids.max", max), ("sys/fs/cgroup/a/b/pids.current", current)]
        };
        assert_eq!(group(&pids("64\n", "2\n")), Some(64));
        assert_eq!(group(&pids("64\n", "12\n")), Some(54));
        assert_eq!(group(&pids("64\n", "99\n")), Some(0), "the limit was lowered");
        let crowded_parent = [
            ("sys/fs/cgroup/a/b/pids.max", "64\n"),
            ("sys/fs/cgroup/a/pids.max", "100\n"),
            ("sys/fs/cgroup/a/pids.current", "82\n"),
        ];
        assert_eq!(group(&crowded_parent), Some(20));
    }

    #[test]
    fn a_container_finds_its_limits_at_the_root_of_its_tree() {
        let inside = ("sys/fs/cgroup/memory.max", "536870912\n");
        let own_namespace = read(&[("proc/self/cgroup", "0::/\n"), inside]);
        let host_path = read(&[("proc/self/cgroup", "0::/docker/0123\n"), inside]);
        assert_eq!(own_namespace, limits(Some(536_870_912), None));
        assert_eq!(host_path, own_namespace);
    }

    #[test]
    fn version_1_and_both_versions_beside_each_other() {
        let memberships = "9:name=systemd:/\n8:pids:/p\n4:cpu,memory:/m\n0::/u\n";
        let hybrid = read(&[
            ("proc/self/cgroup", memberships),
            ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "600000000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/pids/p/pids.max", "max\n"),
            ("sys/fs/cgroup/pids/pids.max", "1024\n"),
            ("sys/fs/cgroup/unified/u/memory.max", "700000000\n"),
        ]);
        assert_eq!(hybrid, limits(Some(600_000_000), Some(1024)));
    }

    #[test]
    fn what_is_missing_or_no_number_is_no_limit() {
        assert_eq!(read(&[]), ControlGroup::default());
        assert_eq!(read(&[OF_V2]), ControlGroup::default());
        for nonsense in ["", "max", "0", "-1", "1e9", "many\n", "99999999999999999999"] {
            let found = read(&[
                ("proc/self/cgroup", "nonsense\n0::/a/b\n1:memory\n"),
                ("sys/fs/cgroup/a/memory.max", nonsense),
            ]);
            assert_eq!(found, ControlGroup::default(), "{nonsense}");
        }
        // A directory cannot be read as a file, not even by root.
        let unreadable = ("sys/fs/cgroup/a/b/memory.max/x", "");
        assert_eq!(read(&[OF_V2, unreadable]), ControlGroup::default());
    }
}
