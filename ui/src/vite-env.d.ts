/// <reference types="vite/client" />
interface ImportMetaEnv {
  /** `fake`: a built page that shows the scripted stories. */
  readonly VITE_BACKEND?: string;
}
