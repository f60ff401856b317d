/** The token of `Authorization: Bearer <token>`; undefined when there is none of that form. */
export function bearerToken(request: Request): string | undefined {
  const [scheme = "", given = ""] = (request.headers.get("authorization") ?? "").split(" ");
  return scheme.toLowerCase() === "bearer" && given !== "" ? given : undefined;
}

/** Whether the caller shows the operator's secret; nobody can when it is not set. */
export function isAdmin(request: Request, adminToken: string | undefined): boolean {
  if (adminToken === undefined || adminToken === "") return false;
  const given = bearerToken(request);
  return given !== undefined && equalInConstantTime(given, adminToken);
}

const encoder = new TextEncoder();

/** Takes as long whatever is given: a wrong token is compared with itself when its length differs. */
function equalInConstantTime(given: string, secret: string): boolean {
  const [a, b] = [encoder.encode(given), encoder.encode(secret)];
  const isSameLength = a.length === b.length;
  return crypto.subtle.timingSafeEqual(a, isSameLength ? b : a) && isSameLength;
}
