// For hands, eyes and ears of every kind: keyboard, clipboard, screen reader, small and dark screens.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const axe = require('axe-core');
const { pageTest, picture, choose, card, ready } = require('./fixture.js');

const SCREENSHOTS = path.join(__dirname, '../../../target/screenshots');

const clipboard = page => page.evaluate(() => navigator.clipboard.readText());

// Presses Tab until what has the focus has this name.
async function tabTo(page, name) {
  for (let tabs = 0; tabs < 30; tabs++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.textContent) === name) return;
  }
  assert.fail(`Tab does not lead to ${name}`);
}

pageTest('by keyboard alone', {}, async ({ page }) => {
  const file = await picture(page);
  await tabTo(page, 'Choose images');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outline);
  assert.match(outline, /solid [2-9]px/, 'where the focus is can be seen');
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')]);
  await chooser.setFiles([file, { ...file, name: 'no.txt', mimeType: 'text/plain' }]);
  await ready(page, file.name);
  await tabTo(page, 'Leave it out');
  await page.keyboard.press('Enter');
  assert.equal(await page.getByRole('listitem').count(), 1);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Choose images', 'the focus is not lost');
  await tabTo(page, 'Copy link');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.match(await clipboard(page), /\/original\.jpg$/);
});

pageTest('what can be copied', {}, async ({ page, server }) => {
  const name = 'a "b" & [c]_<d>.jpg';
  await choose(page, [{ ...await picture(page), name }]);
  const base = (await ready(page, name)).replace('large.jpg', '');
  assert(base.startsWith(server.url));
  const expected = {
    'Copy link': `${base}original.jpg`,
    'Large': `${base}large.jpg`,
    'Medium': `${base}medium.jpg`,
    'Small': `${base}small.jpg`,
    'HTML': `<a href="${base}original.jpg"><img src="${base}medium.jpg" alt="a &#34;b&#34; &#38; [c]_&#60;d&#62;"></a>`,
    'Markdown': `[![a "b" \\& \\[c\\]\\_\\<d\\>](${base}medium.jpg)](${base}original.jpg)`,
  };
  for (const [label, text] of Object.entries(expected)) {
    await page.getByRole('button', { name: label, exact: true }).click();
    await page.getByRole('log').getByText('Copied.').last().waitFor();
    assert.equal(await clipboard(page), text);
    assert.equal((await fetch(text.match(/http[^")]*/)[0])).status, 200);
  }
});

// As behind a load balancer without a certificate: there browsers have no clipboard for pages, and a page goes the old way.
pageTest('what is copied by plain HTTP', { at: server => server.url.replace('127.0.0.1', 'images.test') },
  async ({ page, context, server }) => {
    assert.equal(await page.evaluate(() => isSecureContext), false);
    await choose(page, [await picture(page)]);
    const large = await ready(page, 'hills.jpg');
    await page.getByRole('button', { name: 'Large', exact: true }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const secure = await context.newPage();
    await secure.goto(`${server.url}/app`);
    assert.equal(await clipboard(secure), large);
  });

pageTest('what a browser does not let the page copy is shown', {}, async ({ page, server }) => {
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error('not permitted'));
    document.execCommand = () => false;
  });
  await choose(page, [await picture(page)]);
  const large = await ready(page, 'hills.jpg');
  const shown = page.waitForEvent('dialog');
  const pressed = page.getByRole('button', { name: 'Large', exact: true }).click();
  const dialog = await shown;
  assert.equal(dialog.defaultValue(), large);
  await dialog.accept();
  await pressed;
});

pageTest('what is heard', {}, async ({ page }) => {
  await choose(page, [await picture(page)]);
  await ready(page, 'hills.jpg');
  const heard = await page.getByRole('log').locator('p').allTextContents();
  assert.deepEqual(heard, ['hills.jpg is uploaded.', 'hills.jpg: Ready to share.']);
});

const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1100, height: 760 } },
  dark: { colorScheme: 'dark', viewport: { width: 1100, height: 760 } },
  phone: { colorScheme: 'light', viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
  'phone-dark': { colorScheme: 'dark', viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
};

// Takes a picture of the page, and has it judged.
async function judge(page, name) {
  fs.mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), fullPage: true });
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
  const [width, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(width <= shown, 'nothing is wider than the screen');
  for (const button of await page.getByRole('button').all()) {
    const { height } = await button.boundingBox();
    assert(height >= 44, `${await button.textContent()} is ${height} pixels high: less than a fingertip`);
  }
}

pageTest('accessibility halfway', { expected: ['net::ERR_FAILED'] }, async ({ page }) => {
  let send;
  const sent = new Promise(resolve => { send = resolve; });
  await page.route(url => url.pathname === '/', async route => {
    await sent;
    await route.continue();
  });
  await page.route('**/small.jpg', route => route.abort());
  await choose(page, [await picture(page)]);
  await card(page, 'hills.jpg').getByText('Uploading…').waitFor();
  await judge(page, 'uploading');
  await page.evaluate(() => { // time goes a hundred times as fast
    const wait = window.realTimeout = window.setTimeout;
    window.setTimeout = (then, ms) => wait(then, ms / 100);
  });
  send();
  await card(page, 'hills.jpg').getByText('The links are final').waitFor();
  await page.evaluate(() => { window.setTimeout = window.realTimeout; });
  await judge(page, 'late');
});

for (const [name, context] of Object.entries(LOOKS)) {
  pageTest(`looks and accessibility: ${name}`, { context }, async ({ page }) => {
    await judge(page, `${name}-empty`);
    const hills = [['dunes.webp', 30], ['hills.jpg', 140], ['lake in the morning.jpg', 205], ['dusk.png', 265]];
    const files = await Promise.all(hills.map(([name, hue]) => picture(page, { name, hue })));
    await choose(page, files);
    for (const { name } of files) await ready(page, name);
    await page.getByRole('button', { name: 'Choose images' }).blur();
    await judge(page, name);
    await choose(page, [
      { ...files[0], name: 'large.jpg', buffer: Buffer.concat([files[0].buffer, Buffer.alloc(3_300_000)]) },
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('x') },
    ]);
    await card(page, 'notes.txt').getByText('It seems to be').waitFor();
    await page.evaluate(() => { document.getElementById('token').hidden = false; });
    await judge(page, `${name}-doubts`);
  });
}
