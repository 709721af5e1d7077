/** The build puts such a file into the bundle, as a data URL. */
declare module '*.wasm' {
  const url: string;
  export default url;
}
