import { Tokenizer } from "@huggingface/tokenizers";

/**
 * A text is tokenized in pieces of about this many characters per wanted token, until there are enough:
 * English has 4.5 characters per token.
 */
const CHARACTERS_PER_TOKEN = 5;

/**
 * Characters after which a BERT tokenizer can be restarted: what comes before and after is tokenized
 * as it would be in one go. White space, comma, semicolon and CJK ideographs (which BERT sets apart
 * with spaces) end a word, and none is a combining mark, so NFD does not reorder across them.
 */
const BOUNDARY = /[ \t\r\n,;\u3400-\u4dbf\u4e00-\u9fff]/g;

/** The kept token ids of a text, the special ones included. */
export interface TokenIds {
  readonly ids: readonly number[];
  /** The text had more tokens than were kept. */
  readonly cut: boolean;
}

/** A `tokenizer.json` that cuts at a number of tokens, at a cost that does not grow with the text. */
export class TextTokenizer {
  readonly padId: number;
  /** Tokens have the ids below this. */
  readonly size: number;
  readonly #tokenizer: Tokenizer;
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];
  readonly #splittable: boolean;

  /** @param json UTF-8 text of a Hugging Face `tokenizer.json` */
  constructor(json: Uint8Array) {
    const config = JSON.parse(new TextDecoder().decode(json)) as TokenizerJson;
    this.padId = config.padding?.pad_id ?? 0;
    this.#splittable = isSplittable(config);
    this.#tokenizer = new Tokenizer({ ...config, padding: null, truncation: null }, {});
    if (config.normalizer?.type === "BertNormalizer") {
      useAuthorsNormalization(this.#tokenizer, config.normalizer);
    }
    if (config.model.type === "WordPiece") useBoundedWordPiece(this.#tokenizer);
    this.size = config.added_tokens.reduce(
      (size, { id }) => Math.max(size, id + 1),
      this.#tokenizer.model?.vocab.length ?? 0,
    );
    const bare = this.#encode("a", false);
    const whole = this.#encode("a", true);
    const start = whole.indexOf(bare[0] ?? -1);
    this.#prefix = whole.slice(0, start);
    this.#suffix = whole.slice(start + bare.length);
  }

  /**
   * As sentence-transformers does: the text's first tokens are kept, between all special tokens.
   *
   * @param maxTokens special tokens included
   */
  encode(text: string, maxTokens: number): TokenIds {
    const room = Math.max(0, maxTokens - this.#prefix.length - this.#suffix.length);
    const content = this.#firstTokens(text, room);
    const cut = content.length > room;
    if (cut) content.length = room;
    return { ids: [...this.#prefix, ...content, ...this.#suffix], cut };
  }

  /** Tokens that a caller's own tokenizer made, with the special ones around them, which may be there already. */
  withSpecialTokens(ids: readonly number[]): readonly number[] {
    const isWhole =
      ids.length >= this.#prefix.length + this.#suffix.length &&
      this.#prefix.every((id, at) => ids[at] === id) &&
      this.#suffix.every((id, at) => ids.at(at - this.#suffix.length) === id);
    return isWhole ? ids : [...this.#prefix, ...ids, ...this.#suffix];
  }

  /** At least `count + 1` tokens of the text, or all. */
  #firstTokens(text: string, count: number): number[] {
    const pieceLength = CHARACTERS_PER_TOKEN * (count + 1);
    if (!this.#splittable || text.length <= pieceLength) return this.#encode(text, false);
    const tokens: number[] = [];
    for (let from = 0; from < text.length && tokens.length <= count;) {
      const to = nextBoundary(text, from + pieceLength);
      for (const token of this.#encode(text.slice(from, to), false)) tokens.push(token);
      from = to;
    }
    return tokens;
  }

  #encode(text: string, special: boolean): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: special }).ids;
  }
}

function nextBoundary(text: string, from: number): number {
  BOUNDARY.lastIndex = from;
  return BOUNDARY.test(text) ? BOUNDARY.lastIndex : text.length;
}

interface TokenizerJson {
  readonly padding?: { readonly pad_id?: number } | null;
  readonly normalizer: NormalizerJson | null;
  readonly pre_tokenizer: { readonly type: string } | null;
  readonly model: { readonly type: string };
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
}

interface NormalizerJson {
  readonly type: string;
  readonly handle_chinese_chars?: boolean;
  readonly lowercase?: boolean;
}

function isSplittable({ normalizer, pre_tokenizer, model, added_tokens }: TokenizerJson): boolean {
  return (
    normalizer?.type === "BertNormalizer" &&
    normalizer.handle_chinese_chars === true &&
    pre_tokenizer?.type === "BertPreTokenizer" &&
    model.type === "WordPiece" &&
    // A token that spans a boundary would be torn.
    added_tokens.every(({ content }) => content.search(BOUNDARY) < 0)
  );
}

/** CJK ideographs beyond U+FFFF, as far as BERT knows them. */
const SUPPLEMENTARY_IDEOGRAPH =
  /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/**
 * The library differs from the tokenizers that the models were trained with (huggingface/tokenizers,
 * bert.rs) in two points. There, lower case is made of each character alone, so that a sigma at the end
 * of a word is σ, not ς; and ideographs of two UTF-16 units are set apart like the others.
 */
function useAuthorsNormalization({ normalizer }: Tokenizer, config: NormalizerJson): void {
  if (normalizer === null) return;
  const normalize = normalizer.normalize.bind(normalizer);
  normalizer.normalize = (text) => {
    const lowered = config.lowercase === true ? text.replaceAll("Σ", "σ") : text;
    return normalize(
      config.handle_chinese_chars === true
        ? lowered.replaceAll(SUPPLEMENTARY_IDEOGRAPH, " $& ")
        : lowered,
    );
  };
}

/**
 * The library's search tries every end of a word, longest first: 65,536 characters of 100-letter
 * nonsense words cost 1.3 s. No piece is longer than the longest in the vocabulary, so the search may
 * start there; the pieces found are the same.
 */
function useBoundedWordPiece({ model }: Tokenizer): void {
  if (model === null) return;
  const { tokens_to_ids: vocabulary, unk_token: unknown = "[UNK]" } = model;
  const config = model.config as unknown as WordPieceConfig;
  const prefix = config.continuing_subword_prefix;
  const maxWordLength = config.max_input_chars_per_word ?? 100;
  let longest = 0;
  for (const token of vocabulary.keys()) longest = Math.max(longest, token.length);

  const split = (word: string, pieces: string[]): void => {
    const before = pieces.length;
    // UTF-16 units instead of characters: half a surrogate pair is in no vocabulary.
    for (let start = 0; start < word.length;) {
      let end = Math.min(word.length, start + longest);
      let piece = "";
      for (; end > start; end--) {
        piece = start === 0 ? word.slice(0, end) : prefix + word.slice(start, end);
        if (vocabulary.has(piece)) break;
      }
      if (end === start) {
        pieces.length = before;
        pieces.push(unknown);
        return;
      }
      pieces.push(piece);
      start = end;
    }
  };
  model.encode = (words) => {
    const pieces: string[] = [];
    for (const word of words) {
      if (isLonger(word, maxWordLength)) pieces.push(unknown);
      else split(word, pieces);
    }
    return pieces;
  };
}

interface WordPieceConfig {
  readonly continuing_subword_prefix: string;
  readonly max_input_chars_per_word?: number;
}

/** Whether a word has more than `limit` characters (code points). */
function isLonger(word: string, limit: number): boolean {
  return word.length > limit && (word.length > 2 * limit || [...word].length > limit);
}
