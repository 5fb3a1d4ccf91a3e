export default {
  input: `${process.env.ADDRESS}/openapi.json`,
  output: { path: "taller", module: { extension: ".js" } },
  plugins: ["@hey-api/typescript", "@hey-api/sdk", "@hey-api/client-fetch"],
  logs: { file: false },
};
