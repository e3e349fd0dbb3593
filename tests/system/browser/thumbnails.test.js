// Thumbnails appear by themselves: late, behind a cache that remembers that they were not there, or when asked for again.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { crc32, deflateSync } = require('node:zlib');
const { waitUntil, pageTest, stopClock, picture, choose, card, ready } = require('./fixture.js');

// A PNG of 39 million pixels, all black: little to send and much to decode.
function heavy() {
  const side = 6_250;
  const chunk = (kind, data) => {
    const named = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2], 8); // three channels of 8 bits
  const pixels = deflateSync(Buffer.alloc(side * (1 + 3 * side)));
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

// Work for one worker, one job at a time, before it comes to what is uploaded next.
async function keepBusy(server, jobs) {
  const png = heavy();
  for (let job = 0; job < jobs; job++) await server.upload(png);
}

// The status of each look for the thumbnail of this size.
function looks(page, size) {
  const seen = [];
  page.on('response', response => { if (response.url().includes(`/${size}.`)) seen.push(response.status()); });
  return seen;
}

pageTest('a worker that is slow', {
  settings: () => ({ WORKER_JOBS: '1' }),
}, async ({ page, server }) => {
  const seen = looks(page, 'large');
  await keepBusy(server, 12);
  await choose(page, [await picture(page)]);
  await card(page, 'hills.jpg').getByText('Making thumbnails').waitFor();
  await card(page, 'hills.jpg').getByRole('button', { name: 'Copy link' }).waitFor();
  await ready(page, 'hills.jpg');
  assert(seen.length >= 2, 'it was there at once: the worker was not slow enough to prove anything');
  assert.deepEqual(seen, [...Array(seen.length - 1).fill(404), 200]);
});

pageTest('a cache that remembers for 10 seconds that there was nothing', {
  settings: port => ({ WORKER_JOBS: '1', PUBLIC_URL: `http://127.0.0.1:${port}` }),
  nginx: server => `
    location / {
      proxy_pass ${server.url};
      proxy_cache images;
      proxy_ignore_headers Cache-Control; # S3 says none with what is not there
      proxy_hide_header Cache-Control;
      proxy_cache_valid 200 1h;
      proxy_cache_valid 404 10s;
    }`,
}, async ({ page, server, nginx, port }) => {
  await keepBusy(server, 8);
  await choose(page, [await picture(page)]);
  assert((await ready(page, 'hills.jpg')).startsWith(`http://127.0.0.1:${port}/`));
  const large = nginx.asked().filter(([path]) => path.includes('/large.'));
  const looks = large.map(([, status, cache]) => `${status} ${cache}`);
  assert.deepEqual([looks[0], looks[1], looks.at(-1)], ['404 MISS', '404 HIT', '200 EXPIRED'], `${looks}`);
});

pageTest('a thumbnail that does not come, until it does', {}, async ({ page, server }) => {
  await stopClock(page);
  await page.evaluate(() => { // what it waits for is written down
    const wait = window.setTimeout;
    window.waits = [];
    window.setTimeout = (then, ms) => {
      if (ms !== 20_000) window.waits.push(ms); // that is for how long it waits for an answer
      return wait(then, ms);
    };
  });
  const seen = looks(page, 'small');
  await choose(page, [await picture(page)]);
  const small = card(page, 'hills.jpg').getByRole('button', { name: 'Small' });
  const url = await waitUntil('the URLs', async () => (await small.count()) && small.getAttribute('title'));
  const file = server.file(url);
  await waitUntil('the thumbnail', () => fs.existsSync(file));
  fs.renameSync(file, `${file}.away`);

  for (const [number, seconds] of [1, 2, 4, 8, 15, 30, 30, 30, 30, 30, 30, 30].entries()) {
    const ms = await waitUntil('it waits', () => page.evaluate(number => window.waits[number], number));
    assert.equal(ms, seconds * 1000);
    assert.equal(seen.length, number, 'not sooner');
    await page.clock.runFor(ms);
    await waitUntil('a look', () => seen.length === number + 1);
  }
  await card(page, 'hills.jpg').getByText('The links are final, but the thumbnails are not there yet.').waitFor();
  await page.clock.runFor(600_000);
  assert.equal(seen.length, 12, 'it has stopped looking');

  fs.renameSync(`${file}.away`, file);
  await page.getByRole('button', { name: 'Look again: hills.jpg' }).click();
  await page.clock.runFor(1000);
  await ready(page, 'hills.jpg');
});
