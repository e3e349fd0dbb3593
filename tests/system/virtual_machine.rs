//! A virtual machine that boots from the image of deploy/build-image.sh as an EC2 instance does: UEFI, an NVMe disk, the
//! metadata service at 169.254.169.254, nobody at the console. The processor is emulated, so it is slow and runs everywhere.
//!
//! The image itself has nothing to look in with. Into a copy of it goes one unit of the tests, which asks the metadata service
//! stand-in each second for something to do: `ps` prints the processes on the console, `kill` sends SIGKILL to the programs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::imds::Imds;
use crate::kept::Kept;
use crate::program::tempdir::TempDir;
use crate::program::wait_within;

/// What boots in half a minute takes longer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

const BETWEEN_PRESSES: Duration = Duration::from_secs(10);

/// What the host is called inside: slirp's alias for this machine's loopback.
pub(crate) const HOST: &str = "169.254.0.2";

/// Where the root partition begins: behind the table's MiB and the EFI system partition's 64.
const ROOT_OFFSET: u64 = 65 << 20;

const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const FIRMWARE_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

const PROBE_UNIT: &str = "\
[Service]
ExecStart=/usr/local/bin/busybox sh /usr/local/bin/probe
Restart=always
StandardOutput=journal+console
";

const PROBE: &str = "\
cd /usr/local/bin
while sleep 1; do
    token=$(./busybox printf 'PUT /latest/api/token HTTP/1.0\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n' |
        ./busybox nc 169.254.169.254 80 | ./busybox tail -n 1)
    case $(./busybox wget -q -O - --header \"X-aws-ec2-metadata-token: $token\" http://169.254.169.254/latest/probe) in
    ps) ./busybox ps -o user,pid,args | ./busybox grep -e USER -e '/usr/local/bin/[sw]' ;;
    kill) ./busybox killall -9 worker server ;;
    esac
done
";

/// A disk of its own, and the machine if it is on.
pub(crate) struct Machine {
    running: Option<Kept>, // first, so that it is off before its disk goes
    directory: TempDir,
    imds_port: u16,
    /// Port of this machine that leads to the server's inside.
    pub forwarded_port: u16,
}

impl Machine {
    /// A machine that is off.
    pub(crate) fn new(imds: &Imds, forwarded_port: u16) -> Machine {
        let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/image/disk.raw");
        assert!(image.exists(), "there is no {}: run deploy/build-image.sh target/image", image.display());
        let machine =
            Machine { directory: TempDir::new(), imds_port: imds.port, forwarded_port, running: None };
        fs::copy(FIRMWARE_VARIABLES, machine.path("variables")).expect("the package ovmf is installed");
        run(Command::new("cp").arg("--sparse=always").arg(image).arg(machine.path("disk")));
        machine.add_probe();
        machine
    }

    fn add_probe(&self) {
        fs::write(self.path("unit"), PROBE_UNIT).unwrap();
        fs::write(self.path("probe"), PROBE).unwrap();
        let wants = "/etc/systemd/system/multi-user.target.wants";
        let commands = format!(
            "write /bin/busybox /usr/local/bin/busybox\n\
             write {} /usr/local/bin/probe\n\
             write {} /etc/systemd/system/probe.service\n\
             symlink {wants}/probe.service /etc/systemd/system/probe.service\n",
            self.path("probe").display(),
            self.path("unit").display(),
        );
        fs::write(self.path("commands"), commands).unwrap();
        let partition = format!("{}?offset={ROOT_OFFSET}", self.path("disk").display());
        run(Command::new("debugfs").arg("-w").arg("-f").arg(self.path("commands")).arg(partition));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Turns it on.
    pub(crate) fn boot(&mut self) {
        let directory = self.path("running");
        fs::create_dir_all(&directory).unwrap();
        let drive = |name| self.path(name).display().to_string();
        let network = format!(
            "user,id=net,net=169.254.0.0/16,host={HOST},dhcpstart=169.254.0.15,hostfwd=tcp:127.0.0.1:{}-:8080,\
             guestfwd=tcp:169.254.169.254:80-cmd:nc 127.0.0.1 {}",
            self.forwarded_port, self.imds_port
        );
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.arg("-nodefaults");
        for (option, value) in [
            ("-accel", "tcg"),
            ("-cpu", "max"),
            ("-smp", "2"),
            ("-m", "512"),
            ("-display", "none"),
            ("-drive", &format!("if=pflash,format=raw,readonly=on,file={FIRMWARE}")),
            ("-drive", &format!("if=pflash,format=raw,file={}", drive("variables"))),
            ("-drive", &format!("if=none,id=disk,format=raw,file={}", drive("disk"))),
            ("-device", "nvme,drive=disk,serial=1"),
            ("-netdev", &network),
            ("-device", "virtio-net-pci,netdev=net"),
            ("-chardev", &format!("file,id=serial,append=on,path={}", self.path("console").display())),
            ("-serial", "chardev:serial"),
            ("-monitor", &format!("unix:{},server=on,wait=off", self.path("running/monitor").display())),
        ] {
            qemu.args([option, value]);
        }
        self.running = Some(Kept::start(&qemu, &directory));
    }

    /// The reset button, which leaves no time for anything.
    pub(crate) fn reset(&self) {
        self.press("system_reset");
    }

    /// The power button, which asks the system to stop; waits until it has. What listens to the button may start later than the
    /// programs, so it is pressed again now and then.
    pub(crate) fn power_off(&mut self) {
        let mut next_press = Instant::now();
        self.wait_until_off(|machine| {
            if Instant::now() >= next_press {
                next_press += BETWEEN_PRESSES;
                machine.press("system_powerdown");
            }
        });
    }

    /// Waits until it has turned itself off, and repeats an action from time to time until then.
    pub(crate) fn wait_until_off(&mut self, mut meanwhile: impl FnMut(&Machine)) {
        wait_within(PATIENCE, "it turns itself off", || {
            meanwhile(self);
            self.running.as_mut().expect("it is on").has_ended().then_some(())
        });
        self.running = None;
    }

    /// Says the button's name to qemu's monitor, which ignores a caller that hangs up before the answer. If the machine has just
    /// turned itself off, the monitor is gone, and the caller will notice.
    fn press(&self, button: &str) {
        let Ok(mut monitor) = UnixStream::connect(self.path("running/monitor")) else { return };
        monitor.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        await_prompt(&mut monitor);
        let _ = writeln!(monitor, "{button}");
        await_prompt(&mut monitor);
    }

    /// The lines of the console that have all of these parts.
    pub(crate) fn console_lines(&self, parts: &[&str]) -> Vec<String> {
        let console = fs::read(self.path("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines = console.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
        lines.map(|line| line.trim().to_owned()).collect()
    }

    /// Waits until the console has shown that many such lines, and returns the last.
    pub(crate) fn console_line(&self, count: usize, parts: &[&str]) -> String {
        wait_within(PATIENCE, &format!("{count} lines with {parts:?} on the console"), || {
            let console = fs::read(self.path("console")).unwrap_or_default();
            let console = String::from_utf8_lossy(&console).into_owned();
            let line =
                console.lines().filter(|line| parts.iter().all(|part| line.contains(part))).nth(count - 1);
            line.map(|line| line.trim().to_owned())
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.running.as_ref().map(Kept::log).unwrap_or_default();
            let console = fs::read(self.path("console")).unwrap_or_default();
            eprintln!("{log}\n{}", String::from_utf8_lossy(&console));
        }
    }
}

fn await_prompt(monitor: &mut UnixStream) {
    let mut heard = Vec::new();
    let mut part = [0; 1024];
    while !heard.ends_with(b"(qemu) ") {
        match monitor.read(&mut part) {
            Ok(length) if length > 0 => heard.extend(&part[..length]),
            _ => return,
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}
