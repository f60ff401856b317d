import { type AdmissionCase, admission } from "../../../../test/bench/admission.ts";
import { type Check, hold } from "../check.ts";

const SAMPLES = 5;
const MOST_ADMISSION_US = 30;
const MOST_RECEIPT_US = 200;

/** The benchmark `admission`. */
export const admitted: Check<undefined> = {
  claim: `warm admission calls nothing and takes under ${MOST_ADMISSION_US} µs, a receipt under ${MOST_RECEIPT_US} µs`,
  async run() {
    const cases: readonly AdmissionCase[] = (await admission(SAMPLES, () => {})).cases;
    const of = (stage: string): AdmissionCase => {
      const found = cases.find((one) => one.stage === stage);
      hold(found !== undefined, `the benchmark does not tell "${stage}"`);
      return found;
    };
    const [admit, receipt] = [of("admit"), of("receipt")];
    hold(admit.calls === 0, `admission called a binding ${admit.calls} times`);
    hold(admit.microseconds.median < MOST_ADMISSION_US, `it takes ${admit.microseconds.median} µs`);
    hold(
      receipt.microseconds.median < MOST_RECEIPT_US,
      `it takes ${receipt.microseconds.median} µs`,
    );
    return {
      admissionUs: admit.microseconds.median,
      authenticationUs: of("authenticate").microseconds.median,
      receiptUs: receipt.microseconds.median,
    };
  },
};
