import { Html, html } from './html.ts';
import type { SamplePerson } from './people.ts';
import { styleSheet } from './style.ts';

/** Asks who to be: a list of buttons, one a person. */
export function peoplePage(people: readonly SamplePerson[], client: string): string {
  return page(
    'Who are you today?',
    html`<p class="quiet">
        <strong>${client}</strong> asks you to sign in. These people exist on this machine only, so nobody needs a
        password.
      </p>
      <form method="post">
        <ul>
          ${people.map(personButton)}
        </ul>
      </form>`,
  );
}

function personButton({ username, name, role }: SamplePerson): Html {
  return html`<li>
    <button class="person" name="person" value="${username}">
      <span class="initials" aria-hidden="true">${initials(name)}</span>
      <span class="name">${name}</span>
      <span class="role">${role}</span>
    </button>
  </li> `;
}

function initials(name: string): string {
  return name
    .split(' ')
    .map((part) => part.slice(0, 1))
    .join('')
    .slice(0, 2);
}

/**
 * Asks for the code that a command line shows.
 * @param problem what was wrong with the last one.
 */
export function codePage(action: string, xsrf: string, problem: string | null): string {
  return page(
    'Enter the code',
    html`${problem === null ? null : html`<p class="warn" id="problem" role="alert">${problem}</p>`}
      <form method="post" action="${action}">
        <input type="hidden" name="xsrf" value="${xsrf}" />
        <label for="code">The code that your terminal shows</label>
        <input
          class="code"
          id="code"
          name="user_code"
          required
          autofocus
          autocomplete="off"
          autocapitalize="characters"
          spellcheck="false"
          ${problem === null ? null : new Html('aria-invalid="true" aria-describedby="problem"')}
        />
        <div class="actions"><button class="main">Continue</button></div>
      </form>`,
  );
}

/** Shows the code again before anything is signed in: whoever sees another one in their terminal stops here. */
export function confirmPage(action: string, xsrf: string, code: string, client: string): string {
  return page(
    'Is this your code?',
    html`<p class="quiet"><strong>${client}</strong> should be showing exactly this code. If it is not, cancel.</p>
      <p class="code">${code}</p>
      <form method="post" action="${action}">
        <input type="hidden" name="xsrf" value="${xsrf}" />
        <input type="hidden" name="user_code" value="${code}" />
        <input type="hidden" name="confirm" value="yes" />
        <div class="actions">
          <button class="main" autofocus>Yes, continue</button>
          <button class="other" name="abort" value="yes">Cancel</button>
        </div>
      </form>`,
  );
}

/** Asks before anybody is signed out: another site may have led here. */
export function signOutPage(action: string, xsrf: string): string {
  return page(
    'Sign out?',
    html`<p class="quiet">To stay signed in, close this page.</p>
      <form method="post" action="${action}">
        <input type="hidden" name="xsrf" value="${xsrf}" />
        <div class="actions">
          <button class="main" name="logout" value="yes" autofocus>Sign out</button>
        </div>
      </form>`,
  );
}

/** Says something and asks for nothing: that it worked, or what went wrong. */
export function noticePage(title: string, text: string): string {
  return page(title, html`<p class="quiet" role="status">${text}</p>`);
}

/** Its hash is in the content security policy: nothing may be added inside, not even a space. */
const sheet = new Html(`<style>${styleSheet}</style>`);

function page(title: string, content: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Latchkey development sign-in</title>
        ${sheet}
      </head>
      <body>
        <main>
          <p class="mark"><strong>Latchkey</strong> development sign-in</p>
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html> `.text;
}
