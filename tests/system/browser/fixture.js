// The real server, the real browser, and nginx where a proxy is needed, each for one test.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { chromium } = require('playwright-core');

const PATIENCE_MS = 60_000; // two cores may be busy

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // No sandbox: CI is root. The name is one that browsers do not trust as they trust localhost.
    args: ['--no-sandbox', '--host-resolver-rules=MAP images.test 127.0.0.1'],
  });
});
after(() => browser.close());

// Asks until there is an answer.
async function waitUntil(what, ask) {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end;) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain: ${what}`);
}

// What must not be left behind, however the tests end.
const running = new Set();
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

// A program that ends with its test.
class Program {
  constructor(command, args, environment) {
    this.log = '';
    this.child = spawn(command, args, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.on('data', data => { this.log += data; });
    this.ended = new Promise(resolve => this.child.on('close', resolve));
    this.child.on('close', () => {
      this.hasEnded = true;
      running.delete(this.child);
    });
    running.add(this.child);
  }

  kill() {
    this.child.kill('SIGKILL');
    return this.ended;
  }
}

// `server --local`.
class Server {
  static async start(settings = {}, directory = fs.mkdtempSync(path.join(os.tmpdir(), 'images-'))) {
    const server = new Server();
    server.directory = directory;
    server.program = new Program(process.env.SERVER, ['--local', directory], { LISTEN: '127.0.0.1:0', ...settings });
    [, server.address] = await waitUntil('the server starts', () => {
      assert(!server.program.hasEnded, server.program.log);
      return server.program.log.match(/ serving address=(\S+)/);
    });
    server.url = `http://${server.address}`;
    return server;
  }

  kill() {
    return this.program.kill();
  }

  async remove() {
    await this.kill();
    fs.rmSync(this.directory, { recursive: true });
  }

  // Where an image's file is.
  file(url) {
    return path.join(this.directory, ...new URL(url).pathname.split('/'));
  }

  async upload(picture) {
    const form = new FormData();
    form.append('image', new Blob([picture]));
    const answer = await fetch(this.url, { method: 'POST', body: form, headers: { Accept: 'application/json' } });
    assert.equal(answer.status, 202);
  }
}

function isFree(port) {
  return new Promise(resolve => {
    const listener = net.createServer().once('error', () => resolve(false));
    listener.listen(port, '127.0.0.1', () => listener.close(() => resolve(true)));
  });
}

// Below those that the system gives out by itself.
function freePort() {
  return waitUntil('a free port', async () => {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    return await isFree(port) && port;
  });
}

// nginx with this inside its `server`, which is to say at `port` what it does with a request.
async function startNginx(port, directives) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'nginx-'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${directory}/${name};`);
  fs.writeFileSync(path.join(directory, 'nginx.conf'), `
    daemon off; master_process off; pid ${directory}/pid; error_log stderr warn;
    events {}
    http {
      log_format short '$request_uri $status $upstream_cache_status';
      access_log ${directory}/log short; client_max_body_size 9m; ${temporary.join(' ')}
      proxy_cache_path ${directory}/cache keys_zone=images:1m;
      server { listen 127.0.0.1:${port}; ${directives} }
    }`);
  const program = new Program('nginx', ['-e', 'stderr', '-p', directory, '-c', 'nginx.conf'], process.env);
  await waitUntil('nginx listens', async () => {
    assert(!program.hasEnded, program.log);
    return !await isFree(port);
  });
  return {
    // Each request so far: its path, its status, and how the cache came by it.
    asked: () => fs.readFileSync(path.join(directory, 'log'), 'utf8').trim().split('\n').map(line => line.split(' ')),
    remove: async () => {
      await program.kill();
      fs.rmSync(directory, { recursive: true });
    },
  };
}

// One test of the page. `options` may have the server's `settings`, `at` (which makes another URL of the server's), what the
// context of the browser is to have, and `expected`: which errors it will log because the test provokes them.
function pageTest(name, options, body) {
  test(name, async t => {
    const port = await freePort();
    const settings = await options.settings?.(port) ?? {};
    const server = await Server.start(settings);
    t.after(() => server.remove());
    let nginx;
    if (options.nginx) {
      nginx = await startNginx(port, options.nginx(server));
      t.after(() => nginx.remove());
    }
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options.context });
    t.after(() => context.close());
    context.setDefaultTimeout(PATIENCE_MS);
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await context.newPage();
    page.on('filechooser', () => {}); // from the start: a listener that comes with a key press may come too late for the dialog
    const complaints = [];
    const expected = text => (options.expected ?? []).some(part => text.includes(part));
    page.on('pageerror', error => complaints.push(String(error)));
    page.on('console', message => {
      // A busy machine may not have made a thumbnail when it is first looked for.
      const isTooEarly = message.text().includes('status of 404') && /\/(small|medium|large)\./.test(message.location().url);
      const isBad = ['error', 'warning'].includes(message.type()) && !isTooEarly && !expected(message.text());
      if (isBad) complaints.push(message.text());
    });
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective}`));
    });
    const url = options.at?.(server, port) ?? server.url;
    await page.goto(`${url}/app`);
    await body({ page, server, nginx, port, context });
    assert.deepEqual(complaints, []);
  });
}

// From here on the page's time stands still, but for what `page.clock.runFor` lets pass.
async function stopClock(page) {
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1000);
}

// A picture such as people have, drawn by the browser: hills under a sky. Noise gives it weight.
async function picture(page, { name = 'hills.jpg', width = 900, height = 700, hue = 200, noise = 0 } = {}) {
  const type = { jpg: 'image/jpeg', png: 'image/png', webp: 'image/webp' }[name.split('.').pop()];
  const base64 = await page.evaluate(async ({ type, width, height, hue, noise }) => {
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext('2d');
    const sky = pen.createLinearGradient(0, 0, 0, height);
    sky.addColorStop(0, `hsl(${hue} 55% 62%)`);
    sky.addColorStop(0.7, `hsl(${hue + 150} 65% 84%)`);
    pen.fillStyle = sky;
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = 'hsl(42 90% 86%)';
    pen.arc(width * 0.68, height * 0.3, height * 0.09, 0, 7);
    pen.fill();
    for (const hill of [0, 1, 2, 3]) {
      pen.fillStyle = `hsl(${hue + hill * 12} ${28 + hill * 6}% ${56 - hill * 12}%)`;
      pen.beginPath();
      pen.moveTo(0, height);
      for (let x = 0; x <= width; x += 4) {
        const wave = Math.sin(x / width * (5 + hill) + hill * 2.2 + hue) + 0.4 * Math.sin(x / width * 13 + hue * hill);
        pen.lineTo(x, height * (0.52 + hill * 0.12 - 0.07 * wave));
      }
      pen.lineTo(width, height);
      pen.fill();
    }
    const pixels = pen.getImageData(0, 0, width, height);
    for (let i = 0; noise && i < pixels.data.length; i++) if (i % 4 < 3) pixels.data[i] += noise * (Math.random() - 0.5);
    pen.putImageData(pixels, 0, 0);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type, quality: 0.9 })).arrayBuffer());
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
  }, { type, width, height, hue, noise });
  return { name, mimeType: type, buffer: Buffer.from(base64, 'base64') };
}

// Chooses files as a click does.
async function choose(page, files) {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Choose images' }).click(),
  ]);
  await chooser.setFiles(files);
}

// The card of the image with this name.
function card(page, name) {
  return page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });
}

// Waits until a card shows its large thumbnail, and returns the image's URL.
async function ready(page, name) {
  const there = card(page, name);
  await there.getByText('Ready to share.').waitFor();
  const image = there.getByRole('img', { name });
  const { url, width } = await image.evaluate(image => ({ url: image.src, width: image.naturalWidth }));
  assert.match(url, /^http:.*\/[0-9a-f]{32}\/large\.(jpg|png)$/);
  assert.equal(width, 600);
  return url;
}

module.exports = { PATIENCE_MS, Server, freePort, waitUntil, pageTest, stopClock, picture, choose, card, ready };
