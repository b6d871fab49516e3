"""LoRA training by PyTorch and peft on the CPU, on the batches of a plan: what bench/training/main.ts compares with.

The plan is a JSON file: the GGUF model, adapter settings, threads, and for each step its learning rate and rows, each row its tokens and
the weight of each of them as a target (0: none). Writes one JSON object a line: the loss of each step, then the totals.
"""

import json
import sys
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

MODULES = {
    "attn_q": "q_proj",
    "attn_k": "k_proj",
    "attn_v": "v_proj",
    "attn_output": "o_proj",
    "ffn_gate": "gate_proj",
    "ffn_up": "up_proj",
    "ffn_down": "down_proj",
}


def load_model(path: Path, cache: Path):
    """Reading a GGUF takes transformers minutes: what it made of it is kept."""
    if not (cache / "config.json").exists():
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
        # What it read are plain floats by now.
        del model.config.quantization_config
        model.hf_quantizer = None
        model.save_pretrained(cache)
    return AutoModelForCausalLM.from_pretrained(cache, dtype=torch.float32)


def peak_bytes() -> int:
    """The most resident memory since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def to_batch(rows):
    length = max(len(row["tokens"]) for row in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for index, row in enumerate(rows):
        size = len(row["tokens"])
        tokens[index, :size] = torch.tensor(row["tokens"])
        mask[index, :size] = 1
        weights[index, :size] = torch.tensor(row["weights"])
    return tokens, mask, weights


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(plan["threads"])
    torch.manual_seed(plan["seed"])
    base = load_model(Path(plan["model"]), Path(plan["cache"]))
    modules = [MODULES[name] for name in plan["modules"]]
    config = LoraConfig(r=plan["rank"], lora_alpha=plan["alpha"], target_modules=modules, lora_dropout=0.0, bias="none")
    model = get_peft_model(base, config)
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    forget_peak()
    trained_tokens = 0
    started = time.perf_counter()
    for number, step in enumerate(plan["steps"], start=1):
        for group in optimizer.param_groups:
            group["lr"] = step["learning_rate"]
        tokens, mask, weights = to_batch(step["rows"])
        optimizer.zero_grad()
        # The scores of the places that are targets alone: with all of them it would be slower and larger.
        hidden = model.base_model.model.model(input_ids=tokens, attention_mask=mask).last_hidden_state[:, :-1]
        at = weights[:, 1:] > 0
        logprobs = torch.log_softmax(model.base_model.model.lm_head(hidden[at]), dim=-1)
        chosen = logprobs.gather(1, tokens[:, 1:][at].unsqueeze(1)).squeeze(1)
        loss = -(chosen * weights[:, 1:][at]).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, plan["max_gradient_norm"])
        optimizer.step()
        trained_tokens += int(mask.sum())
        print(json.dumps({"step": number, "loss": loss.item()}), flush=True)
    seconds = time.perf_counter() - started
    print(json.dumps({"tokens": trained_tokens, "seconds": seconds, "peak_bytes": peak_bytes()}), flush=True)


main()
