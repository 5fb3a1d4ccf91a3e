// What every tour in TypeScript asks.
export function same(actual: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) throw new Error(`${is} instead of ${should}`);
}

export const titles = (page: { items: { title: string }[] }) => page.items.map((item) => item.title);
