"""Writes samples/speech.json: what the authors' own package hears in samples/speech.wav.

Not needed to build, start or test Nearside; it says where the expected values come from:

    pip install silero-vad==6.2.3 onnxruntime
    python models/vad/make-samples.py

speech.wav was synthesised with espeak-ng 1.51 and sox (0.7 s of silence, a voice en-us, 1 s of silence, a
voice en-gb, 0.7 s of silence; 16 kHz, 16 bits). The package carries the same ONNX file as the npm package
that the build reads.
"""

import json
import pathlib
import wave

import numpy
import torch
from silero_vad import get_speech_timestamps, load_silero_vad

SAMPLES = pathlib.Path(__file__).parent / "samples"
RATE = 16_000
STEP = 512

with wave.open(str(SAMPLES / "speech.wav")) as file:
    samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
audio = torch.from_numpy(samples.astype("float32") / 32768)

model = load_silero_vad(onnx=True)
segments = get_speech_timestamps(audio, model, sampling_rate=RATE)
model.reset_states()
probabilities = []
for start in range(0, len(audio), STEP):
    step = torch.nn.functional.pad(audio[start : start + STEP], (0, max(0, start + STEP - len(audio))))
    probabilities.append(round(model(step, RATE).item(), 6))

result = {
    "source": "get_speech_timestamps and the model of silero-vad 6.2.3, ONNX, defaults; segments in samples",
    "segments": segments,
    "probabilities": probabilities,
}
(SAMPLES / "speech.json").write_text(json.dumps(result, separators=(",", ":")).replace('"prob', '\n"prob').replace('"seg', '\n"seg') + "\n")
print(segments, max(probabilities), len(probabilities))
