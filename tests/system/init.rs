//! A start at boot without systemd: by a line of inittab, or by an LSB script.
//!
//! A machine is a process namespace whose first process is busybox's init, in a root directory with nothing in it but busybox and
//! what is installed. No kernel is booted: that is for tests/system/boot.rs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::audit::Audit;
use crate::engine::engine;
use crate::imds::Imds;
use crate::pictures;
use crate::program::tempdir::TempDir;
use crate::program::{Program, wait_until};
use crate::stack::Stack;

/// What busybox is called by: init itself, and what init/run takes.
const APPLETS: [&str; 5] = ["init", "sh", "mkdir", "ls", "start-stop-daemon"];

/// Installs the programs and what starts them under this root directory, as on any machine.
fn install(root: &Path) {
    for (from, to) in [
        (env!("CARGO_BIN_EXE_worker"), "usr/local/bin/worker"),
        (env!("CARGO_BIN_EXE_server"), "usr/local/bin/server"),
        ("init/run", "usr/local/lib/image-sharer/run"),
        ("init/image-sharer.init", "usr/local/lib/image-sharer/init"),
        ("init/inittab", "etc/inittab"),
    ] {
        let to = root.join(to);
        fs::create_dir_all(to.parent().expect("it is under the root")).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(from), to).unwrap();
    }
}

/// Starts a shell as the first process of a new machine, whose metadata service is this one. All of it ends with the program.
fn boot(imds: &Imds, commands: &str) -> Program {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-e", "-c", commands]);
    unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    unshare.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://127.0.0.1:{}", imds.port));
    Program::spawn("machine", unshare)
}

/// The machine's worker, as a process of the system around it.
fn worker_of(machine: &Program) -> Option<u32> {
    let children = |id: u32| -> Vec<u32> {
        let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        list.split_whitespace().map(|id| id.parse().expect("a number")).collect()
    };
    let first = children(machine.id());
    let all = first.into_iter().flat_map(children);
    all.into_iter()
        .find(|id| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "worker"))
}

fn imds_for(stack: &Stack) -> Imds {
    let imds = Imds::start(&engine().role_credentials(3600));
    imds.set("user-data", &stack.user_data("worker", "127.0.0.1"));
    imds
}

fn is_nobodys(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status.lines().any(|line| line == "Uid:\t65534\t65534\t65534\t65534")
}

#[test]
fn a_line_of_inittab_starts_the_worker_and_starts_it_again() {
    let (stack, root) = (Stack::start(), TempDir::new());
    let imds = imds_for(&stack);
    install(root.path());
    for directory in ["bin", "proc", "dev", "run", "tmp"] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.path().join("bin/busybox")).expect("busybox-static is installed");
    for applet in APPLETS {
        symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    fs::write(root.path().join("etc/passwd"), "nobody:x:65534:65534::/:/bin/false\n").unwrap();
    let machine = boot(
        &imds,
        &format!(
            "cd {}; mount -t proc proc proc; mount --bind /dev dev; exec chroot . /bin/init",
            root.path().display()
        ),
    );
    let audit = Audit::default();
    let picture = pictures::jpeg(800, 600).into();
    let worker = wait_until("the worker starts", || worker_of(&machine));
    assert!(is_nobodys(worker));
    audit.upload(&stack.url, &picture).urls();
    assert_eq!(audit.nothing_is_lost(), 1);

    let killed = Command::new("kill").args(["-KILL", &worker.to_string()]).status().unwrap();
    assert!(killed.success());
    wait_until("it is started again", || worker_of(&machine).filter(|again| *again != worker));
    audit.upload(&stack.url, &picture).urls();
    assert_eq!(audit.nothing_is_lost(), 2);
}

/// On this system, as it is seen by a machine that has the programs installed and a /run of its own.
#[test]
fn the_lsb_script_starts_and_stops_the_worker() {
    let (stack, root) = (Stack::start(), TempDir::new());
    let imds = imds_for(&stack);
    install(root.path());
    let machine = boot(
        &imds,
        &format!(
            "mount -t proc proc /proc; mount -t tmpfs run /run; mount --rbind {}/usr/local /usr/local
            service=/usr/local/lib/image-sharer/init
            ! $service status
            $service start; $service status; echo started >&2
            until test -e /run/stop; do sleep 0.1; done
            $service stop; ! $service status; echo stopped >&2",
            root.path().display()
        ),
    );
    machine.line_with(&["started"]);
    let audit = Audit::default();
    audit.upload(&stack.url, &pictures::jpeg(800, 600).into()).urls();
    assert_eq!(audit.nothing_is_lost(), 1);
    let worker = worker_of(&machine).expect("it did the job");
    assert!(is_nobodys(worker));
    fs::write(format!("/proc/{worker}/root/run/stop"), "").unwrap();
    machine.line_with(&["stopped"]);
    assert!(!Path::new(&format!("/proc/{worker}")).exists());
}
