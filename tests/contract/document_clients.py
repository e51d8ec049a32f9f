"""The two client programs of the API's document as they stand there, but for the white space on empty lines."""

REQUESTS_CLIENT = r'''
import requests

def generate_text_from_llama4(prompt, max_length=512, temperature=0.7):
    """使用 Llama 4 Scout-17B API 生成文本"""
    api_url = "http://localhost:2025/generate"

    payload = {
        "prompt": prompt,
        "max_length": max_length,
        "temperature": temperature
    }

    response = requests.post(api_url, json=payload)

    if response.status_code == 200:
        return response.json()["generated_texts"][0]
    else:
        raise Exception(f"API 请求失败: {response.text}")

# 示例用法
result = generate_text_from_llama4("编写一个 Python 函数以升序对数字列表进行排序。")
print(result)
'''

CHAT_CLIENT = r'''
import requests
import json

def chat_with_llama4(messages, temperature=0.7):
    """使用 Llama 4 Scout-17B API 生成对话完成"""
    api_url = "http://localhost:2025/generate"

    # 将消息格式化为对话提示
    formatted_prompt = ""
    for msg in messages:
        role = msg["role"]
        content = msg["content"]
        if role == "system":
            formatted_prompt += f"<|im_start|>system\n{content}<|im_end|>\n"
        elif role == "user":
            formatted_prompt += f"<|im_start|>user\n{content}<|im_end|>\n"
        elif role == "assistant":
            formatted_prompt += f"<|im_start|>assistant\n{content}<|im_end|>\n"

    # 添加最终的助手提示
    formatted_prompt += "<|im_start|>assistant\n"

    payload = {
        "prompt": formatted_prompt,
        "temperature": temperature,
        "max_length": 1024
    }

    response = requests.post(api_url, json=payload)

    if response.status_code == 200:
        return response.json()["generated_texts"][0]
    else:
        raise Exception(f"API 请求失败: {response.text}")

# 示例用法
messages = [
    {"role": "system", "content": "你是一个有帮助的AI助手。"},
    {"role": "user", "content": "Python的主要特点是什么？"}
]
response = chat_with_llama4(messages)
print(response)
'''
