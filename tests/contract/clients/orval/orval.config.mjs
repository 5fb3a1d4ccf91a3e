const address = process.env.ADDRESS;

export default {
  taller: {
    input: `${address}/openapi.json`,
    output: {
      target: "taller.ts",
      client: "fetch",
      baseUrl: address,
      // Else `If-Match` and `Idempotency-Key` could not be sent.
      headers: true,
      tsconfig: "tsconfig.json",
    },
  },
};
