/** A page as a test sees it: where it leads, and the form that stands in it. */
export interface Page {
  readonly status: number;
  readonly location: string | null;
  readonly page: string;
  /** The content security policy that came with it. */
  readonly policy: string;
  /** Where its form goes, or null when it has none. */
  readonly form: string | null;
  /** The form's hidden fields. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface Browser {
  get(path: string): Promise<Page>;
  post(path: string, fields: Readonly<Record<string, string>>): Promise<Page>;
  /** Sends the form of a page as it stands. */
  submit(page: Pick<Page, 'form' | 'fields'>): Promise<Page>;
}

/** A browser without a screen: keeps cookies, follows nothing by itself, knows the forms it was given. */
export function createBrowser(origin: string): Browser {
  const cookies = new Map<string, string>();

  async function visit(path: string, init: RequestInit): Promise<Page> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(new URL(path, origin), { ...init, headers: { cookie }, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split('=', 2) as [string, string];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    const page = await answer.text();
    const inputs = page.matchAll(/<input\s+type="hidden"\s+name="([^"]+)"\s+value="([^"]*)"/g);
    return {
      status: answer.status,
      location: answer.headers.get('location'),
      page,
      policy: answer.headers.get('content-security-policy') ?? '',
      form: /<form[^>]*\saction="([^"]+)"/.exec(page)?.[1] ?? null,
      fields: Object.fromEntries(Array.from(inputs, ([, name, value]) => [name, value])) as Record<string, string>,
    };
  }

  const post = (path: string, fields: Readonly<Record<string, string>>) =>
    visit(path, { method: 'POST', body: new URLSearchParams(fields) });
  return { get: (path) => visit(path, {}), post, submit: ({ form, fields }) => post(form!, fields) };
}
