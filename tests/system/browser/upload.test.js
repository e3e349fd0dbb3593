// The ways in, and what is said when the server says no.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { Server, freePort, waitUntil, pageTest, stopClock, picture, choose, card, ready } = require('./fixture.js');

const REFUSED = status => `the server responded with a status of ${status}`;

// A line that sends so many bytes a second.
async function slowLine(page, bytes) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.emulateNetworkConditions', {
    offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes,
  });
}

pageTest('images that are chosen, of each format', {}, async ({ page, server }) => {
  const files = await Promise.all(['a.jpg', 'b.png', 'c.webp'].map(name => picture(page, { name })));
  await choose(page, files);
  for (const { name } of files) await ready(page, name);
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
});

// Drags what is at these paths, and drops it.
async function drop(page, files) {
  const session = await page.context().newCDPSession(page);
  const { x, y } = await page.getByRole('heading', { level: 1 }).boundingBox(); // anywhere on the page will do
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    const data = { items: [], files, dragOperationsMask: 1 };
    await session.send('Input.dispatchDragEvent', { type, x: x + 2, y: y + 2, data });
  }
}

pageTest('images that are dropped', {}, async ({ page, server }) => {
  const file = await picture(page);
  const onDisk = path.join(server.directory, file.name);
  fs.writeFileSync(onDisk, file.buffer);
  await drop(page, [onDisk]);
  await ready(page, file.name);
});

pageTest('a directory that is dropped cannot be read', { expected: ['net::ERR_'] }, async ({ page, server }) => {
  const directory = path.join(server.directory, 'holiday.jpg');
  fs.mkdirSync(directory);
  await drop(page, [directory]);
  await card(page, 'holiday.jpg').getByText('It cannot be read: choose it again, if it is a file.').waitFor();
});

pageTest('an image that is pasted', {}, async ({ page }) => {
  const { buffer } = await picture(page, { name: 'b.png' });
  await page.evaluate(async base64 => {
    const bytes = Uint8Array.from(atob(base64), character => character.charCodeAt());
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })]);
  }, buffer.toString('base64'));
  await page.keyboard.press('Control+V');
  await ready(page, 'image.png');
});

pageTest('of many images three are uploaded at a time, and each says how far it is', {}, async ({ page }) => {
  await slowLine(page, 400_000);
  const names = [1, 2, 3, 4, 5, 6, 7].map(number => `${number}.jpg`);
  const file = await picture(page, { noise: 60 });
  let [now, most] = [0, 0];
  page.on('request', request => { if (request.method() === 'POST') most = Math.max(most, ++now); });
  page.on('response', response => { if (response.request().method() === 'POST') now -= 1; });
  await page.evaluate(() => {
    window.seen = {};
    setInterval(() => {
      for (const card of document.querySelectorAll('li.uploading')) {
        const values = window.seen[card.querySelector('.name').textContent] ??= [];
        const { value } = card.querySelector('progress');
        if (value !== values.at(-1)) values.push(value);
      }
    }, 5);
  });
  await choose(page, names.map(name => ({ ...file, name })));
  for (const name of names) await ready(page, name);
  assert.equal(most, 3);
  const seen = await page.evaluate(() => window.seen);
  for (const name of names) {
    const between = seen[name].filter(value => value > 0 && value < 1);
    assert(between.length >= 2, `${name}: ${seen[name]}`);
    assert.deepEqual(seen[name], seen[name].toSorted((a, b) => a - b));
  }
});

pageTest('400: what only the server can tell is said on the card', { expected: [REFUSED(400)] }, async ({ page }) => {
  await choose(page, [{ name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no picture') }]);
  await card(page, 'no.png').getByText('does not hold a picture that is taken here').waitFor();
  await card(page, 'no.png').getByRole('button', { name: 'Leave it out' }).click();
  assert.equal(await page.getByRole('listitem').count(), 0);
});

pageTest('413: what is too large is asked about first, and refused by the server', { expected: [REFUSED(413)] }, async ({ page }) => {
  let posts = 0;
  page.on('request', request => { posts += request.method() === 'POST'; });
  const file = await picture(page);
  const limit = 1_048_576;
  const padded = bytes => Buffer.concat([file.buffer, Buffer.alloc(bytes - file.buffer.length)]);
  await choose(page, [limit, limit + 1, 9_000_000].map(bytes => ({ ...file, name: `${bytes}`, buffer: padded(bytes) })));
  await ready(page, `${limit}`);
  for (const bytes of [limit + 1, 9_000_000]) {
    const sentence = `It has ${bytes.toLocaleString('en')} bytes; at most 1,048,576 are taken. Make a smaller copy of it.`;
    await card(page, `${bytes}`).getByText(sentence).waitFor();
  }
  assert.equal(posts, 1);
  for (const bytes of [limit + 1, 9_000_000]) {
    await page.getByRole('button', { name: `Upload anyway: ${bytes}` }).click();
    await card(page, `${bytes}`).getByText('Send a smaller picture: this one is over 1048576 bytes.').waitFor();
  }
});

pageTest('what seems to be no picture may be one', {}, async ({ page }) => {
  await choose(page, [{ ...await picture(page), name: 'picture.txt', mimeType: 'text/plain' }]);
  await card(page, 'picture.txt').getByText('It seems to be no JPEG, PNG, GIF or WebP.').waitFor();
  await page.getByRole('button', { name: 'Upload anyway: picture.txt' }).click();
  await ready(page, 'picture.txt');
  await choose(page, [{ name: 'IMG_1.HEIC', mimeType: 'image/heic', buffer: Buffer.alloc(2_000_000) }]);
  await card(page, 'IMG_1.HEIC').getByText('HEIC is not taken here: save it as JPEG.').waitFor();
});

pageTest('503: it is tried again when the server says', { expected: [REFUSED(503)] }, async ({ page, server }) => {
  const temporary = path.join(server.directory, '.tmp');
  fs.rmSync(temporary, { recursive: true }); // nothing can be stored
  await choose(page, [await picture(page)]);
  await card(page, 'hills.jpg').getByText(/This cannot be done right now: .* Trying again in 5 s\./).waitFor();
  fs.mkdirSync(temporary);
  await ready(page, 'hills.jpg');
});

pageTest('503: not for ever', { expected: [REFUSED(503)] }, async ({ page, server }) => {
  await stopClock(page);
  let posts = 0;
  page.on('response', response => { posts += response.status() === 503; });
  const temporary = path.join(server.directory, '.tmp');
  fs.rmSync(temporary, { recursive: true });
  await choose(page, [await picture(page)]);
  for (const tried of [1, 2, 3]) {
    await waitUntil('an answer', () => posts === tried);
    await card(page, 'hills.jpg').getByText('Trying again').waitFor();
    await page.clock.runFor(5_000);
  }
  await waitUntil('the last answer', () => posts === 4);
  await card(page, 'hills.jpg').getByRole('button', { name: 'Try again' }).waitFor();
  await page.clock.runFor(600_000);
  assert.equal(posts, 4);
  fs.mkdirSync(temporary);
  await card(page, 'hills.jpg').getByRole('button', { name: 'Try again' }).click();
  await card(page, 'hills.jpg').getByText('Making thumbnails').waitFor();
});

pageTest('503: what is left out meanwhile is not uploaded', { expected: [REFUSED(503)] }, async ({ page, server }) => {
  await stopClock(page);
  let posts = 0;
  page.on('request', request => { posts += request.method() === 'POST'; });
  const temporary = path.join(server.directory, '.tmp');
  fs.rmSync(temporary, { recursive: true });
  await choose(page, [await picture(page)]);
  await card(page, 'hills.jpg').getByRole('button', { name: 'Leave it out' }).click();
  fs.mkdirSync(temporary);
  await page.clock.runFor(600_000);
  await choose(page, [{ ...await picture(page), name: 'other.jpg' }]); // it would come after the first
  await card(page, 'other.jpg').getByText('Making thumbnails').waitFor();
  assert.equal(posts, 2);
});

pageTest('502: a server that is replaced behind a load balancer', {
  settings: async () => ({ LISTEN: `127.0.0.1:${await freePort()}` }),
  nginx: server => `location / { proxy_pass ${server.url}; }`,
  at: (server, port) => `http://127.0.0.1:${port}`,
  expected: [REFUSED(502)],
}, async ({ page, server }) => {
  await server.kill();
  await choose(page, [await picture(page)]);
  await card(page, 'hills.jpg').getByText('The server answered 502, and did not say why. Trying again in 5 s.').waitFor();
  const again = await Server.start({ LISTEN: server.address }, server.directory);
  try {
    await ready(page, 'hills.jpg');
  } finally {
    await again.kill();
  }
});

pageTest('a server that is gone', {
  // A port that the system gives to nobody else while the server is gone.
  settings: port => ({ LISTEN: `127.0.0.1:${port}` }),
  expected: ['net::ERR_CONNECTION_REFUSED'],
}, async ({ page, server }) => {
  const file = await picture(page);
  await server.kill();
  await choose(page, [file]);
  await card(page, file.name).getByText('The server cannot be reached.').waitFor();
  const again = await Server.start({ LISTEN: server.address }, server.directory);
  try {
    await page.getByRole('button', { name: `Try again: ${file.name}` }).click();
    await ready(page, file.name);
  } finally {
    await again.kill();
  }
});

pageTest('401: the token is asked for, kept for the tab, and sent', {
  expected: [REFUSED(401)],
  settings: () => ({ UPLOAD_TOKEN: 'open-sesame-open' }),
}, async ({ page }) => {
  const file = await picture(page);
  let posts = 0;
  page.on('request', request => { posts += request.method() === 'POST'; });
  const field = page.getByLabel('This server asks for its upload token.');
  const use = async token => {
    await field.fill(token);
    await page.keyboard.press('Enter');
  };
  await choose(page, [1, 2, 3, 4].map(number => ({ ...file, name: `${number}.jpg` })));
  await use('wrong');
  await page.locator('#token').getByText('That is not it.').waitFor();
  const before = posts;
  await choose(page, [{ ...file, name: '5.jpg' }]);
  await card(page, '5.jpg').getByText('Waiting').waitFor();
  assert.equal(posts, before, 'nothing is sent without a token');
  await use('open-sesame-open');
  for (const number of [1, 2, 3, 4, 5]) await ready(page, `${number}.jpg`);
  assert(!await field.isVisible());
  await page.reload();
  await choose(page, [file]);
  await ready(page, file.name);
  assert(!await field.isVisible());
});
